"""The comparison of templates with controls as Markdown: the page's words and numbers in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import decimal
from fusionfactory.report.marked import escaped, notes_list, table
from fusionfactory.report.row_markdown import marked_numbers, whole_file
from fusionfactory.report.thoughts_words import (
    HEADS,
    MEANINGS,
    THOUGHT_PROTOCOL,
    figures_of,
    gate_rows,
    lead,
    remarks,
    thought_facts,
)
from fusionfactory.thoughts.gating.gate import BASELINE

if TYPE_CHECKING:
    from fusionfactory.report.thoughts_document import ModelFacts, ThoughtsDocument

__all__ = ["thought_blocks", "thoughts_markdown"]


def thoughts_markdown(document: ThoughtsDocument, title: str) -> str:
    """A file of its own."""
    return whole_file(
        title, thought_blocks(document), THOUGHT_PROTOCOL, MEANINGS, thought_facts(document)
    )


def thought_blocks(document: ThoughtsDocument | None) -> list[str]:
    """The blocks of every model; none without a comparison."""
    if document is None:
        return []
    return [block for model in document.models for block in _model(model, document)]


def _model(model: ModelFacts, document: ThoughtsDocument) -> list[str]:
    blocks = [
        f"## Thought templates: {escaped(model.model)}",
        escaped(lead(model)),
        notes_list(remarks(model, document)),
        table(HEADS, [figures_of(row) for row in model.rows]),
        "### Domains",
        marked_numbers(model.rows, model.domains, [row.domains for row in model.rows], BASELINE),
        "### Tasks",
        marked_numbers(model.rows, model.tasks, [row.tasks for row in model.rows], BASELINE),
    ]
    for name, gate in model.gates.items():
        heads, *rows = gate_rows(model, gate)
        text = (
            "Gains over zero-shot on train in points, drawn towards the other tasks’, ± their "
            f"standard error; used from {decimal(gate.margin, 2)} of those on."
        )
        blocks += [f"### What {escaped(name)} learnt on train", text, table(heads, rows)]
    return blocks
