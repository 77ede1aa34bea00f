"""Leaderboard rows: means over seeds, paired intervals, and a verdict in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory import metrics
from fusionfactory.metrics import mean_or_nan, taken
from fusionfactory.policy import POINT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.contest import Contest, Entry
    from fusionfactory.intervals import Bootstrap
    from fusionfactory.policy import Policy
    from fusionfactory.types import FloatArray

__all__ = ["BASELINE_ROWS", "leaderboard", "leaderboard_row"]

BASELINE_ROWS = ("best_single", "task_best", "random", "cheapest", "dearest", "zero", "oracle")
_BUDGET_SLACK = 0.1
"""Share of a budget, which is met on the training queries, that test queries may cost beyond it."""


def leaderboard(
    contests: Sequence[Contest], policy: Policy, bootstrap: Bootstrap
) -> list[dict[str, Any]]:
    """One row per router and baseline under a policy, routers by falling reward, then baselines.

    Routers that spent clearly more than a budget stand behind those that kept to it.

    A row holds means over seeds; `gain` is quality minus the best single arm's on the queries where
    both are known, `ci95` its paired interval; `gain_reward`, `ci95_reward` the same of reward;
    `cost_usd` is USD per query; `entropy` is in bits.
    """
    specs = [s for s, entry in contests[0].entries.items() if policy.name in entry.picks]
    rows = [leaderboard_row(spec, contests, policy, bootstrap) for spec in specs]
    routers = [row for row in rows if row["router"] not in BASELINE_ROWS]
    routers.sort(
        key=lambda row: (
            over_budget(row["cost_usd"], policy),
            -np.nan_to_num(row["reward"], nan=-np.inf),
        )
    )
    named = {row["router"]: row for row in rows}
    return routers + [named[name] for name in BASELINE_ROWS]


def over_budget(cost_usd: float, policy: Policy) -> bool:
    """Whether a mean cost in USD breaks a budget by more than other queries may explain."""
    return policy.budget_usd is not None and cost_usd > policy.budget_usd * (1 + _BUDGET_SLACK)


def leaderboard_row(
    spec: str, contests: Sequence[Contest], policy: Policy, bootstrap: Bootstrap
) -> dict[str, Any]:
    """One row; every contest needs the entries of `spec` and of `oracle`."""
    per_seed = [_seed_row(contest, contest.entries[spec], policy) for contest in contests]
    row: dict[str, Any] = {"router": spec}
    for key in per_seed[0]:
        row[key] = mean_or_nan(np.array([seed[key] for seed in per_seed], dtype=np.float64))
    row["quality_sd"] = float(np.std([seed["quality"] for seed in per_seed]))
    row["quality_seeds"] = [seed["quality"] for seed in per_seed]
    rows = [contest.test_rows for contest in contests]
    for name, suffix in (("quality", ""), ("reward", "_reward")):
        gains = [_gain(contest, contest.entries[spec], policy, name) for contest in contests]
        row[f"gain{suffix}"] = mean_or_nan(np.array([mean_or_nan(gain) for gain in gains]))
        row[f"ci95{suffix}"] = list(bootstrap.interval(rows, gains))
        row[f"verdict{suffix}"] = _verdict(spec, row[f"ci95{suffix}"], name)
    return row


def _cells(contest: Contest, policy: Policy, name: str) -> FloatArray:
    return contest.test.quality if name == "quality" else contest.reward(contest.test, policy)


def _gain(contest: Contest, entry: Entry, policy: Policy, name: str) -> FloatArray:
    """(n,) paired differences to the best single arm."""
    cells = _cells(contest, policy, name)
    return taken(cells, entry.picks[policy.name]) - cells[:, contest.best_single]


def _verdict(spec: str, interval: list[float], what: str) -> str:
    if spec == "best_single":
        return "the single arm that was best on train"
    low, high = interval
    if low > 0:
        return f"{what} significantly above the best single arm's"
    if high < 0:
        return f"{what} significantly below the best single arm's"
    return f"{what} not significantly different from the best single arm's"


def _seed_row(contest: Contest, entry: Entry, policy: Policy) -> dict[str, float]:
    test = contest.test
    chosen = entry.picks[policy.name]
    single = contest.best_single
    best_quality = mean_or_nan(test.quality[:, single])
    best_cost = metrics.mean_cost(test.cost_usd[:, single])
    quality = taken(test.quality, chosen)
    rewards = contest.reward(test, policy)
    oracle = contest.entries["oracle"].picks[policy.name]
    entropy, top = metrics.selection_entropy(chosen, len(test.arms))
    points = entry.points
    if not len(points):
        points = metrics.curve(test.quality, test.cost_usd, chosen[None])
    arms = np.stack([test.arm_cost_usd(), test.arm_quality()], axis=1)
    reward = mean_or_nan(taken(rewards, chosen))
    mean = mean_or_nan(quality)
    best_possible = mean_or_nan(taken(test.quality, oracle))
    return {
        "quality": mean,
        "cost_usd": metrics.mean_cost(taken(test.cost_usd, chosen)[~np.isnan(quality)]),
        "reward": reward,
        "gap_closed": metrics.gap_closed(
            reward, mean_or_nan(rewards[:, single]), mean_or_nan(taken(rewards, oracle))
        ),
        "perf_gain": float(points[:, 1].max()) / best_quality - 1 if best_quality else float("nan"),
        "cost_save": metrics.cost_save(points, best_quality, best_cost),
        "cost_save_1pt": metrics.cost_save(points, best_quality, best_cost, POINT),
        "aiq": metrics.aiq(points, arms[contest.cheapest], float(arms[:, 0].max())),
        "apgr": entry.apgr,
        "pareto_dist": _pareto_distance(contest, points),
        "gain_at_best": mean / best_quality - 1 if best_quality else float("nan"),
        "gap_at_oracle": 1 - mean / best_possible if best_possible else float("nan"),
        "entropy": entropy,
        "top_share": top,
        "scored_share": float((~np.isnan(quality)).mean()),
        "fit_s": entry.fit_s,
        "route_us_per_query": entry.route_us_per_query,
        "decide_p50_ms": entry.decide_p50_ms,
    }  # fmt: skip


def _pareto_distance(contest: Contest, points: FloatArray) -> float:
    """To the frontier of all routers but the oracle; axes by the arms' ranges."""
    test = contest.test
    if not test.has_costs:
        return float("nan")
    curves = [e.points for spec, e in contest.entries.items() if spec != "oracle" and len(e.points)]
    if not curves:
        return float("nan")
    joint = np.concatenate(curves)
    joint = joint[metrics.pareto_mask(joint)]
    cost, quality = test.arm_cost_usd(), test.arm_quality()
    spans = np.array([np.nanmax(cost) - np.nanmin(cost), np.nanmax(quality) - np.nanmin(quality)])
    if not (spans > 0).all():
        return float("nan")
    return metrics.pareto_distance(points, joint, spans)
