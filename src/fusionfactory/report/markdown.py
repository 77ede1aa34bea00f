"""The report as Markdown: the same words and numbers, tables instead of plots."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from fusionfactory.report.audit import facts
from fusionfactory.report.calibration import calibration_error
from fusionfactory.report.columns import columns_of, verdict_words
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
from fusionfactory.report.heatmap import best_per_task, task_name
from fusionfactory.report.pareto import arm_order, undominated
from fusionfactory.report.protocol import BASELINES, PROTOCOL
from fusionfactory.report.shares import shown_routers
from fusionfactory.report.summary import summary_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fusionfactory.report.findings import Note

__all__ = ["render_markdown"]

_SPECIAL = re.compile(r"([\\`*\[\]|~#!])|(?<![^\W_])(_)|(_)(?![^\W_])")
_SIGNS = {"ok": "✓", "info": "Note:", "warn": "**Warning:**"}


def render_markdown(evaluation: Mapping[str, Any], *, title: str = "Routing report") -> str:
    """GitHub-flavoured Markdown.

    Args:
        evaluation: `Evaluation.to_json()`.
        title: Of the first heading.

    Raises:
        FormatError: The evaluation is malformed; the message names the key.
    """
    document = read(evaluation)
    head, *rows = summary_rows(document)
    blocks = [f"# {_escape(title)}", *map(_escape, headline(document)), _table(head, rows)]
    blocks.append(_notes(notes(document)))
    blocks.append("## Leaderboard")
    for name, board in document.scenarios.items():
        if board:
            blocks += [f"### {_escape(name)}", _leaderboard(document, name)]
    blocks += [*_arms(document), *_tasks(document), *_shares(document), *_calibration(document)]
    blocks += ["## Coverage and leak audit", _notes(audit_notes(document)), _audit(document)]
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
    return _table(head, rows)


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
    return ["## Cost and quality of the arms", _table(head, rows)]


def _tasks(document: Document) -> list[str]:
    details = document.details
    if not details.task_quality:
        return []
    best = best_per_task(document)
    order = arm_order(document)
    rows = []
    for task, values, top in zip(details.tasks, details.task_quality, best, strict=True):
        cells = [
            _Raw(f"**{decimal(values[a], 2)}**") if a in top else decimal(values[a], 2)
            for a in order
        ]
        rows.append([task_name(task.name), count(task.queries), *cells])
    head = ["Task", "Queries", *(details.arms[arm].name for arm in order)]
    return [
        "## Quality of every arm on every task",
        "The best of each task is bold.",
        _table(head, rows),
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
    warnings = "\n".join(f"- {_SIGNS['warn']} {_escape(sentence(c))}" for c in collapses(document))
    text = f"Test queries in the scenario {_escape(document.first)}."
    return ["## Who gets what", text, warnings, _table(head, rows)]


def _calibration(document: Document) -> list[str]:
    errors = {name: calibration_error(document, name) for name in document.router_names}
    rows = [[name, decimal(error)] for name, error in errors.items() if error is not None]
    if not rows:
        return []
    text = "Mean distance of expected and observed quality over every arm on every test query."
    return ["## Calibration", text, _table(["Router", "Mean gap"], rows)]


def _audit(document: Document) -> str:
    rows = [list(row) for row in facts(document)]
    for name, share in document.table.coverage.items():
        rows.append([f"Coverage of {name}", percent(share)])
    return _table(["Fact", "Value"], rows)


def _meanings(document: Document) -> str:
    lines = [f"- **{_escape(c.heading)}**: {_escape(c.meaning)}" for c in columns_of(document)]
    lines += [f"- **{_escape(name)}**: {_escape(meaning)}" for name, meaning in BASELINES.items()]
    return "\n".join(lines)


def _notes(remarks: Iterable[Note]) -> str:
    return "\n".join(f"- {_SIGNS[note.kind]} {_escape(note.text)}" for note in remarks)


class _Raw(str):
    """A cell that is Markdown already."""

    __slots__ = ()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = [":---", *("---:" for _ in head[1:])]
    lines = [[_escape(cell) for cell in head], rule]
    lines += [[cell if isinstance(cell, _Raw) else _escape(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    flat = escape(" ".join(text.split()), quote=False)
    return _SPECIAL.sub(lambda match: "\\" + match.group(), flat)
