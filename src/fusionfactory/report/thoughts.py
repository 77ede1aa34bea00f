"""Thought templates against their controls: claims, table, domains as radar and bars, and gates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.audit import note_list
from fusionfactory.report.figures import decimal
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.row_domains import domains_part
from fusionfactory.report.row_tables import gain_cell, gain_scale, numbers_table, scroll
from fusionfactory.report.shell import Section, whole_page
from fusionfactory.report.thoughts_words import (
    HEADS,
    LOOK,
    MEANINGS,
    THOUGHT_PROTOCOL,
    figures_of,
    gate_rows,
    lead,
    remarks,
    thought_facts,
)
from fusionfactory.thoughts.gating.gate import BASELINE
from fusionfactory.thoughts.gating.ground import FORMAT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.rows import RowFacts
    from fusionfactory.report.scales import Scale
    from fusionfactory.report.thoughts_document import ModelFacts, ThoughtsDocument

__all__ = ["thought_sections", "thoughts_page"]

_USES = 2
_RADAR = (
    "Mean quality by domain of the main rows. Of the thought rows it shows the one that was best "
    "on train. The centre is not 0: see the rings."
)


def thoughts_page(document: ThoughtsDocument, title: str) -> str:
    """A page of its own."""
    opening = join(*(tag("p", lead(model), class_="lead") for model in document.models))
    reading = Section("thoughts-reading", "How to read this", _reading(document))
    return whole_page(title, opening, [*thought_sections(document), reading])


def thought_sections(document: ThoughtsDocument | None) -> list[Section]:
    """One section per model; none without a comparison."""
    if document is None:
        return []
    return [
        Section(f"thoughts-{number}", f"Thought templates: {model.model}", _model(model, document))
        for number, model in enumerate(document.models)
    ]


def _model(model: ModelFacts, document: ThoughtsDocument) -> Markup:
    shown = [model.row(name) for name in (BASELINE, FORMAT, model.lead, *model.gates)]
    return join(
        note_list(remarks(model, document)),
        tag("h3", "All rows on average"),
        _table(model),
        domains_part(model, [row for row in shown if row], _RADAR, LOOK),
        tag("h3", "Tasks"),
        numbers_table(model.rows, model.tasks, [row.tasks for row in model.rows], LOOK),
        *(_gate(model, name) for name in model.gates),
    )


def _table(model: ModelFacts) -> Markup:
    scales = [gain_scale(row.over(name) for row in model.rows) for name in (BASELINE, FORMAT)]
    rows = [_row(row, scales) for row in model.rows]
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in HEADS)))
    return scroll(tag("table", head, tag("tbody", *rows), class_="controls"))


def _row(row: RowFacts, scales: Sequence[Scale]) -> Markup:
    name, *cells = figures_of(row)
    made = [tag("th", tag("span", "", class_=f"dab {LOOK.colour(row)}"), name, scope="row")]
    quality, gain, format_gain, *others, worst = cells
    made += [
        tag("td", quality),
        gain_cell(gain, row.over(BASELINE), scales[0]),
        gain_cell(format_gain, row.over(FORMAT), scales[1]),
        *(tag("td", cell) for cell in others),
        tag("td", worst, class_="words"),
    ]
    return tag("tr", *made, class_="gate" if row.kind == "gate" else None)


def _gate(model: ModelFacts, name: str) -> Markup:
    gate = model.gates[name]
    heads, *rows = gate_rows(model, gate)
    lines = (
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            tag("td", row[1]),
            tag("td", tag("b", row[2]), class_="words"),
            *(tag("td", cell) for cell in row[3:]),
        )
        for row in rows
    )
    named = (
        tag("th", head, scope="col", class_="words" if place == _USES else None)
        for place, head in enumerate(heads)
    )
    table = tag(
        "table",
        tag("thead", tag("tr", *named)),
        tag("tbody", *lines),
        class_="numbers",
    )
    text = (
        "Gains over zero-shot on train in points, drawn towards the other tasks’, ± their standard "
        f"error. A candidate is used where its gain exceeds {decimal(gate.margin, 2)} of those."
    )
    return join(tag("h3", f"What {name} learnt on train"), tag("p", text), scroll(table))


def _reading(document: ThoughtsDocument) -> Markup:
    meanings = (
        item for name, told in MEANINGS.items() for item in (tag("dt", name), tag("dd", told))
    )
    facts = (
        item
        for name, value in thought_facts(document)
        for item in (tag("dt", name), tag("dd", value))
    )
    return join(
        tag("p", THOUGHT_PROTOCOL),
        tag("h3", "Rows"),
        tag("dl", *meanings, class_="meanings"),
        tag("h3", "Facts"),
        tag("dl", *facts, class_="facts"),
    )
