"""The comparison of students as Markdown: the page's words and numbers in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.distill_words import (
    DISTILL_PROTOCOL,
    HEADS,
    KINDS,
    alarm_rows,
    distill_facts,
    distill_lead,
    distill_remarks,
    figures_of,
    flip_rows,
    made_rows,
    source_rows,
)
from fusionfactory.report.marked import escaped, notes_list, table
from fusionfactory.report.row_markdown import marked_numbers, whole_file

if TYPE_CHECKING:
    from fusionfactory.report.distill_document import DistillDocument

__all__ = ["distill_blocks", "distill_markdown"]


def distill_markdown(document: DistillDocument, title: str) -> str:
    """A file of its own."""
    return whole_file(
        title, distill_blocks(document), DISTILL_PROTOCOL, KINDS, distill_facts(document)
    )


def distill_blocks(document: DistillDocument | None) -> list[str]:
    """What came of training, and how it was done; none without a comparison."""
    if document is None:
        return []
    rows, before = document.rows, document.before
    blocks = [
        f"## Students of {escaped(before)}",
        escaped(distill_lead(document)),
        notes_list(distill_remarks(document)),
        table(HEADS, [figures_of(row, document) for row in rows]),
        *_listed("Alarms", alarm_rows(document)),
        "### Domains",
        marked_numbers(rows, document.domains, [row.domains for row in rows], before),
        "### Tasks",
        marked_numbers(rows, document.tasks, [row.tasks for row in rows], before),
        *_listed("Answers won and lost", flip_rows(document)),
    ]
    if document.students:
        blocks += ["## How the students were made", *_listed("Training", made_rows(document))]
    for name, made in document.students.items():
        told = [["", ""], *(list(row) for row in source_rows(made))]
        blocks += _listed(f"What {escaped(document.label(name))} learnt from", told)
    return blocks


def _listed(name: str, cells: list[list[str]]) -> list[str]:
    """A heading and a table; nothing without rows."""
    return [f"### {name}", table(cells[0], cells[1:])] if cells[1:] else []
