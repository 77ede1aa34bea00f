"""The levels of fusion: table, domains, the best level per task, and plans in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.audit import note_list
from fusionfactory.report.fuse_words import (
    FUSE_MEANINGS,
    FUSE_PROTOCOL,
    HEADS,
    chosen_rows,
    figures_of,
    fuse_look,
    fuse_remarks,
    task_rows,
)
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.row_domains import domains_part
from fusionfactory.report.row_tables import gain_cell, gain_scale, numbers_table, scroll
from fusionfactory.report.shell import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.fuse_document import FuseDocument
    from fusionfactory.report.rows import RowFacts
    from fusionfactory.report.scales import Scale

__all__ = ["fuse_sections"]

_MOST_LINES = 6
_RADAR = (
    "Mean quality by domain of the best single arm, the best level per task, the fused choice "
    "and the plans, at most six in all. The centre is not 0: see the rings."
)


def fuse_sections(document: FuseDocument | None) -> list[Section]:
    """The levels, and the plans where there are any; none without a comparison."""
    if document is None:
        return []
    sections = [Section("levels", "Levels side by side", _levels(document))]
    if document.plans:
        sections.append(Section("plans", "How the plans go on", _plans(document)))
    return sections


def _levels(document: FuseDocument) -> Markup:
    look = fuse_look(document)
    main = [row for row in document.rows if row.kind in {"single", "choice", "fused", "plan"}]
    tasks = numbers_table(document.rows, document.tasks, [r.tasks for r in document.rows], look)
    return join(
        note_list(fuse_remarks(document)),
        tag("h3", "All rows on average"),
        _table(document),
        domains_part(document, main[:_MOST_LINES], _RADAR, look),
        tag("details", tag("summary", "The tasks in numbers"), tasks),
        tag("details", tag("summary", "What each level chose on train"), *_chosen(document)),
        tag(
            "details",
            tag("summary", "How to read the levels"),
            tag("p", FUSE_PROTOCOL),
            _pairs(FUSE_MEANINGS),
        ),
    )


def _table(document: FuseDocument) -> Markup:
    names = (document.base, document.fixed)
    scales = [gain_scale(row.over(name) for row in document.rows) for name in names]
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in HEADS)))
    rows = (_row(row, document, scales) for row in document.rows)
    return scroll(tag("table", head, tag("tbody", *rows), class_="controls snug"))


def _row(row: RowFacts, document: FuseDocument, scales: Sequence[Scale]) -> Markup:
    name, quality, gain, fixed_gain, cost, worst = figures_of(row, document)
    dab = tag("span", "", class_=f"dab {fuse_look(document).colour(row)}")
    return tag(
        "tr",
        tag("th", dab, name, scope="row"),
        tag("td", quality),
        gain_cell(gain, row.over(document.base), scales[0]),
        gain_cell(fixed_gain, row.over(document.fixed), scales[1]),
        tag("td", cost),
        tag("td", worst, class_="words"),
        class_="gate" if row.kind == "fused" else None,
    )


def _chosen(document: FuseDocument) -> list[Markup]:
    return [_listed(cells) for cells in (chosen_rows(document), task_rows(document)) if cells]


def _listed(cells: Sequence[Sequence[str]]) -> Markup:
    heads, *rows = cells
    named = (tag("th", head, scope="col", class_="words") for head in heads)
    lines = (
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", c, class_="words") for c in row[1:]))
        for row in rows
    )
    table = tag(
        "table", tag("thead", tag("tr", *named)), tag("tbody", *lines), class_="numbers snug"
    )
    return scroll(table)


def _plans(document: FuseDocument) -> Markup:
    parts = (
        part
        for plan in document.plans
        for part in (
            tag("h3", document.label(plan.name)),
            tag("ul", *(tag("li", words) for words in plan.words)),
        )
    )
    return join(*parts)


def _pairs(pairs: dict[str, str]) -> Markup:
    items = (part for name, value in pairs.items() for part in (tag("dt", name), tag("dd", value)))
    return tag("dl", *items, class_="meanings")
