"""The levels of fusion as Markdown: the page's words and numbers in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.fuse_words import (
    FUSE_PROTOCOL,
    HEADS,
    chosen_rows,
    figures_of,
    fuse_lead,
    fuse_remarks,
    task_rows,
)
from fusionfactory.report.marked import escaped, notes_list, table
from fusionfactory.report.row_markdown import marked_numbers

if TYPE_CHECKING:
    from fusionfactory.report.fuse_document import FuseDocument

__all__ = ["fuse_blocks"]


def fuse_blocks(document: FuseDocument | None) -> list[str]:
    """The levels and the plans; none without a comparison."""
    if document is None:
        return []
    rows, base = document.rows, document.base
    blocks = [
        "## Levels side by side",
        escaped(fuse_lead(document)),
        notes_list(fuse_remarks(document)),
        table(HEADS, [figures_of(row, document) for row in rows]),
        "### Domains",
        marked_numbers(rows, document.domains, [row.domains for row in rows], base),
        "### Tasks",
        marked_numbers(rows, document.tasks, [row.tasks for row in rows], base),
        "### What each level chose on train",
        *(table(cells[0], cells[1:]) for cells in (chosen_rows(document), task_rows(document))
          if cells),
        FUSE_PROTOCOL,
    ]  # fmt: skip
    if document.plans:
        blocks.append("## How the plans go on")
    for plan in document.plans:
        steps = "\n".join(f"- {escaped(words)}" for words in plan.words)
        blocks += [f"### {escaped(document.label(plan.name))}", steps]
    return blocks
