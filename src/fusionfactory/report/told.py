"""Findings as tables of words and gains, written alike on a page, in Markdown and on a terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from fusionfactory.report.audit import note_list
from fusionfactory.report.marked import escaped, notes_list, table
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.row_tables import scroll
from fusionfactory.report.row_words import gain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.report.findings import Note
    from fusionfactory.report.rows import GainFacts

__all__ = ["Cell", "Told", "told_blocks", "told_part"]

Cell: TypeAlias = "str | GainFacts"


@dataclass(frozen=True)
class Told:
    """A heading, remarks, and a table.

    Attributes:
        heading: Empty for none.
        text: What the table shows; empty where an earlier one says so.
        heads: Of the columns.
        rows: A name first; gains are shown with their intervals.
        notes: Before the table.
        folded: Whether a page hides the table until it is asked for.
    """

    heading: str
    text: str
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    notes: list[Note] = field(default_factory=list)
    folded: bool = False


def told_part(findings: Iterable[Told]) -> Markup:
    """For a page."""
    return join(*(_part(told) for told in findings))


def _part(told: Told) -> Markup:
    text = tag("p", told.text) if told.text else None
    grid = _grid(told) if told.rows else None
    if told.folded:
        return tag("details", tag("summary", told.heading), text, grid)
    heading = tag("h3", told.heading) if told.heading else None
    return join(heading, note_list(told.notes), text, grid)


def _grid(told: Told) -> Markup:
    head = tag("tr", *(tag("th", head, scope="col") for head in told.heads))
    lines = (
        tag("tr", tag("th", _words(row[0]), scope="row"), *(_cell(cell) for cell in row[1:]))
        for row in told.rows
    )
    body = tag("tbody", *lines)
    return scroll(tag("table", tag("thead", head), body, class_="numbers snug told"))


def _cell(cell: Cell) -> Markup:
    if isinstance(cell, str):
        return tag("td", cell)
    size, _, rest = gain_words(cell).partition(" ")
    pair = cell.interval
    clear = pair is not None and not pair[0] <= 0 <= pair[1]
    verdict = f"verdict {'better' if cell.gain and cell.gain > 0 else 'worse'}" if clear else None
    return tag("td", tag("b", size, class_=verdict), tag("small", f" {rest}") if rest else None)


def told_blocks(findings: Iterable[Told]) -> list[str]:
    """For a Markdown file."""
    blocks: list[str] = []
    for told in findings:
        blocks += [f"### {escaped(told.heading)}"] if told.heading else []
        blocks += [notes_list(told.notes)] if told.notes else []
        blocks += [escaped(told.text)] if told.text else []
        if told.rows:
            blocks.append(table(told.heads, [[_words(cell) for cell in row] for row in told.rows]))
    return blocks


def _words(cell: Cell) -> str:
    return cell if isinstance(cell, str) else gain_words(cell)
