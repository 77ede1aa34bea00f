"""Students against the model before training: claims, alarms, table, domains and how made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.audit import note_list
from fusionfactory.report.distill_words import (
    DISTILL_PROTOCOL,
    HEADS,
    KINDS,
    alarm_rows,
    distill_facts,
    distill_lead,
    distill_look,
    distill_remarks,
    figures_of,
    flip_rows,
    made_rows,
    source_rows,
)
from fusionfactory.report.loss import loss_plot
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.row_domains import domains_part
from fusionfactory.report.row_tables import gain_cell, gain_scale, numbers_table, scroll
from fusionfactory.report.shell import Section, whole_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.report.distill_document import DistillDocument
    from fusionfactory.report.rows import RowFacts
    from fusionfactory.report.scales import Scale

__all__ = ["distill_page", "distill_sections"]

_MOST_LINES = 6
_RADAR = (
    "Mean quality by domain of the model before training, the control and the students, at most "
    "six in all. The centre is not 0: see the rings."
)
_FLIPS = (
    "Test queries on which an answer got better / worse by training, and the p-value of an exact "
    "sign test, corrected by Holm for all of the table."
)
_LOSS = "Lines are the loss on the examples as they were learnt, marks that on held-out questions."


def distill_page(document: DistillDocument, title: str) -> str:
    """A page of its own."""
    reading = Section("distill-reading", "How to read this", _reading(document))
    opening = tag("p", distill_lead(document), class_="lead")
    return whole_page(title, opening, [*distill_sections(document), reading])


def distill_sections(document: DistillDocument | None) -> list[Section]:
    """What came of training, and how it was done; none without a comparison."""
    if document is None:
        return []
    sections = [Section("distill", f"Students of {document.before}", _compared(document))]
    if document.students:
        sections.append(Section("distill-made", "How the students were made", _made(document)))
    return sections


def _compared(document: DistillDocument) -> Markup:
    look = distill_look(document)
    main = [document.row(name) for name in (document.before, document.recommended)]
    main += [*document.trained, document.row(document.control)]
    shown = list({row.name: row for row in main if row}.values())[:_MOST_LINES]
    numbers = numbers_table(document.rows, document.tasks, [r.tasks for r in document.rows], look)
    return join(
        note_list(distill_remarks(document)),
        tag("h3", "All rows on average"),
        _table(document),
        *_listed("Alarms", "", alarm_rows(document), words=3),
        domains_part(document, shown, _RADAR, look),
        tag("h3", "Tasks"),
        numbers,
        *_listed("Answers won and lost", _FLIPS, flip_rows(document)),
    )


def _table(document: DistillDocument) -> Markup:
    names = (document.before, document.control or "")
    scales = [gain_scale(row.over(name) for row in document.rows) for name in names]
    rows = [_row(row, document, scales) for row in document.rows]
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in HEADS)))
    return scroll(tag("table", head, tag("tbody", *rows), class_="controls snug"))


def _row(row: RowFacts, document: DistillDocument, scales: Sequence[Scale]) -> Markup:
    name, quality, gain, control_gain, *others, worst = figures_of(row, document)
    dab = tag("span", "", class_=f"dab {distill_look(document).colour(row)}")
    return tag(
        "tr",
        tag("th", dab, name, scope="row"),
        tag("td", quality),
        gain_cell(gain, row.over(document.before), scales[0]),
        gain_cell(control_gain, row.over(document.control or ""), scales[1]),
        *(tag("td", cell) for cell in others),
        tag("td", worst, class_="words"),
        class_="gate" if row.name == document.recommended else None,
    )


def _listed(
    name: str, text: str, cells: Sequence[Sequence[str]], *, words: int = 1
) -> Iterable[Markup]:
    """A heading and a table of a heading and rows; nothing without rows.

    Args:
        name: The heading.
        text: What the table shows.
        cells: The table's heading and rows.
        words: Columns from the left that hold words.
    """
    if not cells:
        return
    heads, *rows = cells
    kinds = ["words" if place < words else None for place in range(len(heads))]
    named = (tag("th", head, scope="col", class_=kind)
             for head, kind in zip(heads, kinds, strict=True))  # fmt: skip
    lines = (
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(tag("td", cell, class_=kind) for cell, kind in zip(row[1:], kinds[1:], strict=True)),
        )
        for row in rows
    )
    yield tag("h3", name)
    if text:
        yield tag("p", text)
    table = tag(
        "table", tag("thead", tag("tr", *named)), tag("tbody", *lines), class_="numbers snug"
    )
    yield scroll(table)


def _made(document: DistillDocument) -> Markup:
    called = {document.label(name): made for name, made in document.students.items()}
    plot = loss_plot(called)
    told = (
        tag("details", tag("summary", f"What {name} learnt from"), _pairs(source_rows(made)))
        for name, made in called.items()
    )
    return join(
        *_listed("Training", "", made_rows(document), words=3),
        *((tag("h3", "Loss"), tag("p", _LOSS), plot) if plot else ()),
        *told,
    )


def _pairs(rows: Iterable[tuple[str, str]], kind: str = "facts") -> Markup:
    items = (part for name, value in rows for part in (tag("dt", name), tag("dd", value)))
    return tag("dl", *items, class_=kind)


def _reading(document: DistillDocument) -> Markup:
    return join(
        tag("p", DISTILL_PROTOCOL),
        tag("h3", "Rows"),
        _pairs(KINDS.items(), "meanings"),
        tag("h3", "Facts"),
        _pairs(distill_facts(document)),
    )
