"""The report as one HTML file that needs no network, no font, and no script to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.report.arms import arm_table, quality_ranking
from fusionfactory.report.audit import audit, note_list
from fusionfactory.report.calibration import calibration_plots
from fusionfactory.report.columns import columns_of
from fusionfactory.report.distill import distill_page, distill_sections
from fusionfactory.report.distill_document import is_distill, read_distill
from fusionfactory.report.document import Document, read
from fusionfactory.report.findings import Note, collapses, headline, notes, sentence
from fusionfactory.report.fuse import fuse_sections
from fusionfactory.report.fuse_words import fuse_lead
from fusionfactory.report.heatmap import heat_map
from fusionfactory.report.left_out_words import left_out_findings
from fusionfactory.report.markup import Markup, join, tag
from fusionfactory.report.pareto import has_costs, pareto_plots
from fusionfactory.report.plotting import Series, swatch
from fusionfactory.report.protocol import (
    BASELINES,
    DISTILL_TITLE,
    FUSE_TITLE,
    LEFT_OUT,
    PROTOCOL,
    ROBUSTNESS,
    THOUGHTS_TITLE,
    TITLE,
)
from fusionfactory.report.robustness_words import robustness_findings
from fusionfactory.report.shares import shown_routers, who_gets_what
from fusionfactory.report.shell import Section, whole_page
from fusionfactory.report.standings import standings
from fusionfactory.report.summary import summary_rows
from fusionfactory.report.thoughts import thought_sections, thoughts_page
from fusionfactory.report.thoughts_document import is_thoughts, read_thoughts
from fusionfactory.report.told import told_part

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render_html"]

_PARETO_CAPTION = (
    "Means over the test side{seeds}. Up and left is better. Dots are arms; filled dots are those "
    "that no other arm beats in both; the star and the dotted cross are the best single arm. "
    "Coloured lines are the routers’ curves over all trade-offs. The thick dashed line mixes arms "
    "without looking at the query (Zero router): a router below it is worth nothing. A router "
    "without a curve is marked once per scenario. The quality axis does not start at 0."
)
_NO_DETAILS = "The evaluation carries no details for this chart."


def render_html(evaluation: Mapping[str, Any], *, title: str = "") -> str:
    """One self-contained HTML file.

    Args:
        evaluation: `Evaluation.to_json()`, or what `think evaluate --json` or
            `distill evaluate --json` wrote.
        title: Of the page; empty for the usual one.

    Raises:
        FormatError: The evaluation is malformed; the message names the key.
    """
    if is_thoughts(evaluation):
        return thoughts_page(read_thoughts(evaluation), title or THOUGHTS_TITLE)
    if is_distill(evaluation):
        return distill_page(read_distill(evaluation), title or DISTILL_TITLE)
    document = read(evaluation)
    sections = [
        *fuse_sections(document.fusion),
        Section("leaderboard", "Leaderboard", standings(document)),
        Section("pareto", "Cost and quality", _pareto(document)),
        Section("tasks", "Quality of every arm on every task", _tasks(document)),
        Section("shares", "Who gets what", _shares(document)),
        Section("calibration", "Calibration", _calibration(document)),
        *_steadiness(document),
        *thought_sections(document.thoughts),
        *distill_sections(document.distill),
        Section("audit", "Coverage and leak audit", audit(document)),
        Section("reading", "How to read this", _reading(document)),
    ]
    usual = FUSE_TITLE if document.fusion else TITLE
    return whole_page(title or usual, _headline(document), sections)


def _steadiness(document: Document) -> list[Section]:
    """Edits, triggers and ceilings, and what was left out, where they were asked for."""
    found = []
    if document.robustness is not None:
        content = told_part(robustness_findings(document.robustness))
        found.append(Section("robustness", ROBUSTNESS, content))
    if document.left_out is not None:
        content = told_part(left_out_findings(document.left_out))
        found.append(Section("left-out", LEFT_OUT, content))
    return found


def _headline(document: Document) -> Markup:
    first, *others = headline(document)
    heads, *rows = summary_rows(document)
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
        tag(
            "tbody",
            *(
                tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
                for row in rows
            ),
        ),
        class_="summary",
    )
    fused = tag("p", fuse_lead(document.fusion), class_="lead") if document.fusion else None
    return join(
        fused,
        tag("p", first, class_=None if fused else "lead"),
        *(tag("p", text) for text in others),
        tag("div", table, class_="scroll", tabindex="0"),
        note_list(notes(document)),
    )


def _pareto(document: Document) -> Markup:
    if not document.details.arms:
        return tag("p", _NO_DETAILS)
    if not has_costs(document):
        return join(
            tag("p", "No costs are known, so there is no cost axis: arms and routers by quality."),
            quality_ranking(document),
        )
    seeds = ", first seed" if (document.table.seeds or 1) > 1 else ""
    partly = any(not row.fully_scored for row in document.routers(document.first))
    gaps = (
        " Curves average scored picks only, so those of routers with unscored picks may stand too "
        "high or too low."
    )
    text = _PARETO_CAPTION.format(seeds=seeds) + (gaps if partly else "")
    return join(
        tag("p", text),
        _legend(document),
        pareto_plots(document),
        arm_table(document),
    )


def _legend(document: Document) -> Markup:
    items = (
        tag("li", swatch(Series(number)), name, data_router=str(number))
        for number, name in enumerate(document.router_names)
    )
    return tag("ul", *items, class_="key routers")


def _tasks(document: Document) -> Markup:
    if not document.details.task_quality:
        return tag("p", _NO_DETAILS)
    text = "Means over the whole table, train and test; arms by falling quality on the test side."
    return join(tag("p", text), heat_map(document))


def _shares(document: Document) -> Markup:
    if not shown_routers(document):
        return tag("p", _NO_DETAILS)
    seeds = ", first seed" if (document.table.seeds or 1) > 1 else ""
    plans = " A plan counts for the arm whose answer it gave." if document.fusion else ""
    warnings = [Note("warn", sentence(collapse)) for collapse in collapses(document)]
    return join(
        tag(
            "p",
            f"Test queries{seeds}, scenario {document.first}: what each router sends to each arm, "
            f"over all queries and by task.{plans} Numbers in the bars are those of the key.",
        ),
        note_list(warnings),
        who_gets_what(document),
    )


def _calibration(document: Document) -> Markup:
    if not any(document.details.calibration.get(name) for name in document.router_names):
        return tag("p", "No router of this evaluation expects a quality that could be checked.")
    return join(
        tag(
            "p",
            "Every arm on every test query, in ten bins of equal count by the quality a router "
            "expected: on the dashed line it came out as expected, below it the router was too "
            "hopeful. The mean gap is the mean distance to that line.",
        ),
        calibration_plots(document),
    )


def _reading(document: Document) -> Markup:
    items = (
        item
        for column in columns_of(document)
        for item in (tag("dt", column.heading), tag("dd", column.meaning))
    )
    baselines = (
        item
        for name, meaning in BASELINES.items()
        for item in (tag("dt", name), tag("dd", meaning))
    )
    return join(
        tag("p", PROTOCOL),
        tag("h3", "Figures"),
        tag("dl", *items, class_="meanings"),
        tag("h3", "Baselines"),
        tag("dl", *baselines, class_="meanings"),
    )
