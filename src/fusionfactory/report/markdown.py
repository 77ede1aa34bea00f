"""The report as Markdown: the same words and numbers, tables instead of plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.report.audit import facts
from fusionfactory.report.calibration import calibration_error
from fusionfactory.report.columns import columns_of, verdict_words
from fusionfactory.report.distill_document import is_distill, read_distill
from fusionfactory.report.distill_markdown import distill_blocks, distill_markdown
from fusionfactory.report.document import Document, Row, read
from fusionfactory.report.figures import (
    MISSING,
    count,
    decimal,
    interval,
    percent,
    points,
    significant,
    usd,
)
from fusionfactory.report.findings import audit_notes, collapses, headline, notes, sentence
from fusionfactory.report.fuse_markdown import fuse_blocks
from fusionfactory.report.heatmap import best_per_task, task_name
from fusionfactory.report.left_out_words import left_out_findings
from fusionfactory.report.marked import SIGNS, Raw, escaped, notes_list, table
from fusionfactory.report.pareto import arm_order, undominated
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
from fusionfactory.report.shares import shown_routers
from fusionfactory.report.summary import summary_rows
from fusionfactory.report.thoughts_document import is_thoughts, read_thoughts
from fusionfactory.report.thoughts_markdown import thought_blocks, thoughts_markdown
from fusionfactory.report.told import told_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render_markdown"]


def render_markdown(evaluation: Mapping[str, Any], *, title: str = "") -> str:
    """GitHub-flavoured Markdown.

    Args:
        evaluation: `Evaluation.to_json()`, or what `think evaluate --json` or
            `distill evaluate --json` wrote.
        title: Of the first heading; empty for the usual one.

    Raises:
        FormatError: The evaluation is malformed; the message names the key.
    """
    if is_thoughts(evaluation):
        return thoughts_markdown(read_thoughts(evaluation), title or THOUGHTS_TITLE)
    if is_distill(evaluation):
        return distill_markdown(read_distill(evaluation), title or DISTILL_TITLE)
    document = read(evaluation)
    head, *rows = summary_rows(document)
    usual = FUSE_TITLE if document.fusion else TITLE
    blocks = [f"# {escaped(title or usual)}", *map(escaped, headline(document)), table(head, rows)]
    blocks.append(notes_list(notes(document)))
    blocks += [*fuse_blocks(document.fusion), "## Leaderboard"]
    for name, board in document.scenarios.items():
        if board:
            blocks += [f"### {escaped(name)}", _leaderboard(document, name)]
    blocks += [*_arms(document), *_tasks(document), *_shares(document), *_calibration(document)]
    if document.robustness is not None:
        findings = robustness_findings(document.robustness)
        blocks += [f"## {ROBUSTNESS}", *told_blocks(findings)]
    if document.left_out is not None:
        blocks += [f"## {LEFT_OUT}", *told_blocks(left_out_findings(document.left_out))]
    blocks += [*thought_blocks(document.thoughts), *distill_blocks(document.distill)]
    blocks += [
        "## Coverage and leak audit",
        notes_list(audit_notes(document)),
        _audit(document),
    ]
    blocks += ["## How to read this", PROTOCOL, _meanings(document)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _leaderboard(document: Document, scenario: str) -> str:
    columns = columns_of(document)
    quality, *others = columns
    head = [
        "Router",
        quality.heading,
        "vs best single, points",
        "Quality is",
        *(c.heading for c in others),
    ]
    ordered = sorted(document.scenarios[scenario], key=lambda row: row.is_baseline)
    rows = []
    for row in ordered:
        name = f"{row.router} (baseline)" if row.is_baseline else row.router
        gain = _gain(document, scenario, row)
        cells = [
            name,
            quality.text(row),
            gain,
            verdict_words(row)[1],
            *(c.text(row) for c in others),
        ]
        rows.append(cells)
    return table(head, rows)


def _gain(document: Document, scenario: str, row: Row) -> str:
    if row.router == "best_single":
        return "0"
    gain = document.gain(scenario, row)
    return f"{'' if gain is None else points(gain)} {interval(row.interval)}".strip()


def _arms(document: Document) -> list[str]:
    if not document.details.arms:
        return []
    front = undominated(document)
    rows = []
    for column in arm_order(document):
        arm = document.details.arms[column]
        remark = "best single arm on train" if column == document.best_single_arm else ""
        prices = [significant(arm.input_price), significant(arm.output_price)]
        beaten = "no" if column in front else ("yes" if arm.cost_usd is not None else MISSING)
        rows.append([arm.name, decimal(arm.quality), usd(arm.cost_usd), *prices, beaten, remark])
    head = ["Arm", "Quality", "USD per 1,000", "USD per million in", "out", "Beaten in both", ""]
    return ["## Cost and quality of the arms", table(head, rows)]


def _tasks(document: Document) -> list[str]:
    details = document.details
    if not details.task_quality:
        return []
    best = best_per_task(document)
    order = arm_order(document)
    rows = []
    for task, values, top in zip(details.tasks, details.task_quality, best, strict=True):
        cells = [
            Raw(f"**{decimal(values[a], 2)}**") if a in top else decimal(values[a], 2)
            for a in order
        ]
        rows.append([task_name(task.name), count(task.queries), *cells])
    head = ["Task", "Queries", *(details.arms[arm].name for arm in order)]
    return [
        "## Quality of every arm on every task",
        "The best of each task is bold.",
        table(head, rows),
    ]


def _shares(document: Document) -> list[str]:
    routers = shown_routers(document)
    if not routers:
        return []
    totals = {router: document.arm_totals(router) for router in routers}
    used = [arm for arm in arm_order(document) if any(totals[router][arm] for router in routers)]
    rows = [
        [router, *(percent(counts[a] / sum(counts)) if counts[a] else MISSING for a in used)]
        for router, counts in totals.items()
    ]
    head = ["Router", *(document.details.arms[arm].name for arm in used)]
    warnings = "\n".join(f"- {SIGNS['warn']} {escaped(sentence(c))}" for c in collapses(document))
    text = f"Test queries in the scenario {escaped(document.first)}."
    return ["## Who gets what", text, warnings, table(head, rows)]


def _calibration(document: Document) -> list[str]:
    errors = {name: calibration_error(document, name) for name in document.router_names}
    rows = [[name, decimal(error)] for name, error in errors.items() if error is not None]
    if not rows:
        return []
    text = "Mean distance of expected and observed quality over every arm on every test query."
    return ["## Calibration", text, table(["Router", "Mean gap"], rows)]


def _audit(document: Document) -> str:
    rows = [list(row) for row in facts(document)]
    for name, share in document.table.coverage.items():
        rows.append([f"Coverage of {name}", percent(share)])
    return table(["Fact", "Value"], rows)


def _meanings(document: Document) -> str:
    lines = [f"- **{escaped(c.heading)}**: {escaped(c.meaning)}" for c in columns_of(document)]
    lines += [f"- **{escaped(name)}**: {escaped(meaning)}" for name, meaning in BASELINES.items()]
    return "\n".join(lines)
