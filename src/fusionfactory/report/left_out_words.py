"""What leaving out tasks and arms says, in words and tables that every form shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.report.figures import MISSING, count, decimal, percent, points, usd
from fusionfactory.report.findings import Note
from fusionfactory.report.heatmap import task_name
from fusionfactory.report.row_words import gain_words
from fusionfactory.report.told import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.report.left_out_document import (
        ArmsDocument,
        ArmsFacts,
        LabelledFacts,
        LeftOutDocument,
        PartsDocument,
        PartsFacts,
    )
    from fusionfactory.report.told import Cell

__all__ = ["left_out_findings"]

_MOST_LOST = 0.005
"""Half a point: what a router may lose on a task that it has never seen."""


def left_out_findings(document: LeftOutDocument) -> list[Told]:
    """Tasks, domains and arms, as far as they were left out."""
    parts = [part for part in (document.task, document.domain) if part is not None]
    found = [_parts(part, number) for part in parts for number in range(len(part.routers))]
    if document.arm is not None:
        found += [_arms(document.arm, number) for number in range(len(document.arm.routers))]
    return found


def _parts(document: PartsDocument, number: int) -> Told:
    facts = document.routers[number]
    text = (
        f"For every {document.by} a router learnt from all others, by the policy "
        f"{document.policy}, and is held against the arm that is best on those others."
    )
    if document.too_small:
        named = ", ".join(f"{task_name(n)} ({k})" for n, k in document.too_small.items())
        text += f" Too small to be left out: {named}."
    heads = (document.by.capitalize(), "Queries", "Best single of the others", "Its quality",
             "The router’s", "vs best single, points", "USD per 1,000", "The router’s", "Top arm",
             "Its share")  # fmt: skip
    rows: list[list[Cell]] = [
        [task_name(row.name), count(row.queries), row.single, decimal(row.single_quality),
         decimal(row.quality), row, usd(row.single_cost_usd), usd(row.cost_usd), row.top,
         percent(row.top_share)]
        for row in facts.rows
    ]  # fmt: skip
    rows.append(["All queries", *[MISSING] * 4, facts.overall, *[MISSING] * 4])
    return Told(f"{facts.router} on left-out {document.by}s", "" if number else text, heads, rows,
                [_part_note(document, facts)])  # fmt: skip


def _part_note(document: PartsDocument, facts: PartsFacts) -> Note:
    lost = [row for row in facts.rows if row.gain is not None and row.gain < -_MOST_LOST]
    if not lost:
        words = f"{facts.router} loses more than half a point on no left-out {document.by}."
        return Note("ok", words)
    worst = min(lost, key=lambda row: row.gain or 0.0)
    words = (
        f"{facts.router} loses more than half a point on {len(lost)} of {len(facts.rows)} left-out "
        f"{document.by}s, most on {task_name(worst.name)}: {gain_words(worst)}."
    )
    return Note("warn", words)


def _arms(document: ArmsDocument, number: int) -> Told:
    facts = document.routers[number]
    text = (
        "For every arm a router was fitted without it and then given it again: with its outcomes "
        "on a few training queries, with none, by its description and prices alone, and in full by "
        "another fit. Gains are in points over the router that never knew the arm, by the policy "
        f"{document.policy}; in brackets the share of the full gain, where that is clear of chance."
    )
    heads = ("Arm", "Test queries", "Quality without it", "All labels",
             *(f"{count(labels)} labels" for labels in document.labels))  # fmt: skip
    rows: list[list[Cell]] = [
        [row.name, count(row.queries), decimal(row.without), row.full, *_labelled(row.labelled)]
        for row in facts.rows
    ]
    mean = facts.overall
    rows.append(["Mean of the arms", MISSING, MISSING, mean.full, *_labelled(mean.labelled)])
    heading = f"{facts.router} with left-out arms"
    return Told(heading, "" if number else text, heads, rows, [_arm_note(facts)])


def _labelled(parts: Sequence[LabelledFacts]) -> list[str]:
    return [
        points(part.gain) + (f" ({percent(part.reached)})" if part.reached is not None else "")
        for part in parts
    ]


def _arm_note(facts: ArmsFacts) -> Note:
    shares = [part for part in facts.overall.labelled if part.reached is not None]
    if not shares:
        words = f"No arm is clearly missed by {facts.router} on average: there is little to regain."
        return Note("info", words)
    told = ", ".join(f"{percent(part.reached)} with {count(part.labels)}" for part in shares)
    words = f"Of what an arm is worth to it on average, {facts.router} regains {told} labels."
    return Note("info", words)
