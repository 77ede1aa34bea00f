"""Leaderboard rows of a fusion: routers and plans, then levels, baselines and arms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.fuse.levels import FUSED, QUERY, TASK_LEVEL
from fusionfactory.leaderboard import BASELINE_ROWS, leaderboard
from fusionfactory.metrics import mean_or_nan, selection_entropy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.fuse.bout import Bout
    from fusionfactory.intervals import Bootstrap
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import IntArray

__all__ = ["board", "details"]


def board(bouts: Sequence[Bout], bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """The rows of `leaderboard` under the bouts' policy, each with its `kind`.

    Kinds are `fused`, `router` (the query level), `plan`, then `level` (its best arm), `baseline`
    and `arm`. Entropy and the share of the top arm are of the arms whose answers were given, also
    where a plan gave them.
    """
    first = bouts[0]
    count = len(first.contest.test.arms) - len(first.plans)
    arms = set(first.contest.test.arm_names[:count])
    rows = leaderboard([bout.contest for bout in bouts], first.policy, bootstrap)
    for row in rows:
        name = row["router"]
        row["kind"] = _kind(name, first, arms)
        answered = [selection_entropy(bout.answered(name), count) for bout in bouts]
        row["entropy"], row["top_share"] = np.mean(answered, axis=0).tolist()
    last = ("level", "baseline", "arm")
    return sorted(rows, key=lambda row: 1 + last.index(row["kind"]) if row["kind"] in last else 0)


def _kind(name: str, bout: Bout, arms: set[str]) -> str:
    if name in BASELINE_ROWS or name == TASK_LEVEL:
        return "baseline"
    if name in arms:
        return "arm"
    if name in bout.plans:
        return "plan"
    return {FUSED: "fused", QUERY: "router"}.get(name, "level")


def _counts(columns: IntArray, arms: int) -> list[int]:
    found: list[int] = np.bincount(columns, minlength=arms)[:arms].tolist()
    return found


def details(bout: Bout, table: OutcomeTable) -> dict[str, Any]:
    """For the report: the table's means by task, and of one seed the rest.

    Args:
        bout: Of that seed.
        table: The arms on all queries.
    """
    contest = bout.contest
    count = len(contest.test.arms) - len(bout.plans)
    test = contest.test.select_arms(contest.test.arm_names[:count])
    tasks = sorted(set(table.tasks.tolist()))
    shown = [name for name in contest.entries if name not in test.arm_names]
    means = zip(test.arms, test.arm_quality(), test.arm_cost_usd(), strict=True)
    return {
        "arms": [
            {"name": arm.name, "quality": float(quality), "cost_usd": float(cost),
             "input_price": arm.input_price, "output_price": arm.output_price}
            for arm, quality, cost in means
        ],
        "tasks": [{"name": task, "queries": int((table.tasks == task).sum())} for task in tasks],
        "task_quality": [
            [mean_or_nan(column) for column in table.quality[table.tasks == task].T]
            for task in tasks
        ],
        "shares": {
            name: [_counts(bout.answered(name)[test.tasks == task], count) for task in tasks]
            for name in shown
            if name not in {"oracle", "zero"}
        },
        "curves": {
            name: entry.points.tolist()
            for name, entry in contest.entries.items()
            if name in shown and len(entry.points)
        },
        "calibration": {
            name: entry.calibration
            for name, entry in contest.entries.items()
            if entry.calibration
        },
    }  # fmt: skip
