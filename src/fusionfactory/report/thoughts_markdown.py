"""The comparison of templates with controls as Markdown: the page's words and numbers in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import count, decimal
from fusionfactory.report.heatmap import task_name
from fusionfactory.report.marked import Raw, escaped, notes_list, table
from fusionfactory.report.thoughts_words import (
    HEADS,
    MEANINGS,
    THOUGHT_PROTOCOL,
    figures_of,
    gain_words,
    gate_rows,
    lead,
    remarks,
    thought_facts,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.thoughts_document import (
        DomainFacts,
        Figures,
        ModelFacts,
        TaskFacts,
        ThoughtsDocument,
    )

__all__ = ["thought_blocks", "thoughts_markdown"]


def thoughts_markdown(document: ThoughtsDocument, title: str) -> str:
    """A file of its own."""
    meanings = [f"- **{escaped(name)}**: {escaped(told)}" for name, told in MEANINGS.items()]
    facts = table(["Fact", "Value"], [list(row) for row in thought_facts(document)])
    blocks = [f"# {escaped(title)}", *thought_blocks(document)]
    blocks += ["## How to read this", THOUGHT_PROTOCOL, "\n".join(meanings), facts]
    return "\n\n".join(block for block in blocks if block) + "\n"


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
        _numbers(model, model.domains, [row.domains for row in model.rows]),
        "### Tasks",
        _numbers(model, model.tasks, [row.tasks for row in model.rows]),
    ]
    for name, gate in model.gates.items():
        heads, *rows = gate_rows(model, gate)
        text = (
            "Gains over zero-shot on train in points, drawn towards the other tasks’, ± their "
            f"standard error; used from {decimal(gate.margin, 2)} of those on."
        )
        blocks += [f"### What {escaped(name)} learnt on train", text, table(heads, rows)]
    return blocks


def _numbers(
    model: ModelFacts,
    columns: Sequence[TaskFacts] | Sequence[DomainFacts],
    figures: Sequence[Sequence[Figures]],
) -> str:
    """Rows down, and tasks or domains across with their numbers of queries."""
    heads = ["Row", *(f"{task_name(part.name)} ({count(part.queries)})" for part in columns)]
    rows = []
    for row, parts in zip(model.rows, figures, strict=True):
        cells = [
            Raw(f"**{decimal(part.quality)}**")
            if row.is_baseline
            else Raw(f"**{decimal(part.quality)}** {escaped(gain_words(part.gain))}")
            for part in parts
        ]
        rows.append([row.label, *cells])
    return table(heads, rows)
