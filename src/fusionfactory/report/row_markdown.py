"""A comparison of rows as a Markdown file, and its rows by task or domain as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import count, decimal
from fusionfactory.report.marked import Raw, escaped, table
from fusionfactory.report.row_words import gain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fusionfactory.report.rows import DomainFacts, Figures, RowFacts, TaskFacts

__all__ = ["marked_numbers", "whole_file"]


def whole_file(
    title: str,
    blocks: Sequence[str],
    protocol: str,
    meanings: Mapping[str, str],
    facts: Iterable[Sequence[str]],
) -> str:
    """A file of its own: the blocks of a comparison, and how to read them.

    Args:
        title: Of the file.
        blocks: Of the comparison, in Markdown.
        protocol: How it was made.
        meanings: Kind of row to what it is.
        facts: Names and values.
    """
    told = [f"- **{escaped(name)}**: {escaped(words)}" for name, words in meanings.items()]
    known = table(["Fact", "Value"], [list(row) for row in facts])
    parts = [
        f"# {escaped(title)}",
        *blocks,
        "## How to read this",
        protocol,
        "\n".join(told),
        known,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def marked_numbers(
    rows: Sequence[RowFacts],
    columns: Sequence[TaskFacts] | Sequence[DomainFacts],
    figures: Sequence[Sequence[Figures]],
    base: str,
) -> str:
    """Rows down, and tasks or domains across with their numbers of queries.

    Args:
        rows: Of the comparison.
        columns: Tasks or domains.
        figures: Per row, those of the columns.
        base: Name of the row that all are held against.
    """
    heads = ["Row", *(f"{part.title} ({count(part.queries)})" for part in columns)]
    lines = []
    for row, parts in zip(rows, figures, strict=True):
        cells = [
            Raw(f"**{decimal(part.quality)}**")
            if row.name == base
            else Raw(f"**{decimal(part.quality)}** {escaped(gain_words(part.over(base)))}")
            for part in parts
        ]
        lines.append([row.label, *cells])
    return table(heads, lines)
