"""One router on one split: fit it, ask it, and record what it would have done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.contest import Contest, Entry
from fusionfactory.metrics import apgr, curve
from fusionfactory.routers.frontier import sweep, trade_offs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.policy import Policy
    from fusionfactory.routers import Queries, Router
    from fusionfactory.types import Estimates, FloatArray

__all__ = ["observe", "run_router"]

_TIMED_DECISIONS = 50
_TIMED_SECONDS = 2.0
_CALIBRATION_BINS = 10


def run_router(
    router: Router, contest: Contest, policies: Sequence[Policy], features: FloatArray | None
) -> Entry:
    """Fits a router on a contest's train side and records what it does on the test side.

    Args:
        router: Unfitted. One that is bound to a policy is fitted again for each scenario, and has
            no picks under a constrained policy, which it does not know.
        contest: The split and its normalisation.
        policies: To choose by.
        features: (n, d) encoded test queries; None to hand over the texts.
    """
    queries = contest.test.texts if features is None else features
    entry = Entry(router.name)
    if not router.policy_bound:
        start = time.perf_counter()
        router.fit(contest.train)
        entry.fit_s = time.perf_counter() - start
        return observe(router, contest, policies, queries, entry)
    for policy in policies:
        if policy.is_constrained:
            continue
        start = time.perf_counter()
        router.fit(contest.train, policy)
        entry.fit_s += time.perf_counter() - start
        observe(router, contest, [policy], queries, entry)
    return entry


def observe(
    router: Router,
    contest: Contest,
    policies: Sequence[Policy],
    queries: Queries,
    entry: Entry | None = None,
) -> Entry:
    """Asks a fitted router about the test side and adds to its entry what it answers."""
    entry = entry or Entry(router.name)
    start = time.perf_counter()
    estimates = router.estimate(queries)
    for policy in policies:
        entry.picks[policy.name] = router.choose(estimates, policy)
    entry.route_us_per_query = 1e6 * (time.perf_counter() - start) / len(contest.test)
    entry.decide_p50_ms = _decision_latency(router, queries, policies[0])
    if not router.policy_bound and router.trades_off:
        _describe(entry, estimates, contest)
    return entry


def _describe(entry: Entry, estimates: Estimates, contest: Contest) -> None:
    """Curve, gap recovered and calibration of a router that estimates quality."""
    test = contest.test
    if test.has_costs and not np.isnan(estimates.cost_usd).all():
        picks = sweep(estimates, trade_offs(estimates.cost_usd))
        entry.points = curve(test.quality, test.cost_usd, picks)
    pair = [contest.cheapest, contest.best_single]
    gain = estimates.quality[:, pair[1]] - estimates.quality[:, pair[0]]
    entry.apgr = apgr(test.quality[:, pair], gain)
    entry.calibration = _calibration(estimates.quality, test.quality)


def _calibration(expected: FloatArray, observed: FloatArray) -> list[list[float]]:
    """Bins of equal count: mean expected quality, mean observed quality, cells."""
    known = ~np.isnan(observed)
    x, y = expected[known], observed[known]
    order = np.argsort(x, kind="stable")
    bins = [part for part in np.array_split(order, _CALIBRATION_BINS) if part.size]
    return [[float(x[part].mean()), float(y[part].mean()), float(part.size)] for part in bins]


def _decision_latency(router: Router, queries: Sequence[str] | FloatArray, policy: Policy) -> float:
    """Median milliseconds of `decide` for one query, given its features if there are any."""
    seconds = []
    for i in range(min(_TIMED_DECISIONS, len(queries))):
        one = queries[i : i + 1]
        start = time.perf_counter()
        router.decide(one, policy)
        seconds.append(time.perf_counter() - start)
        if sum(seconds) > _TIMED_SECONDS:
            break
    return 1e3 * float(np.median(seconds))
