"""One router on one split: fit it, ask it, and record what it would have done."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.contest import Contest, Entry
from fusionfactory.metrics import apgr, curve
from fusionfactory.routers.frontier import sweep, trade_offs
from fusionfactory.types import Estimates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fusionfactory.policy import Policy
    from fusionfactory.routers import Queries, Router
    from fusionfactory.types import FloatArray

__all__ = ["observe", "observe_chunks", "run_router", "run_trial"]

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
    return run_trial(router, contest, policies, partial(router.fit, contest.train), [queries])


def run_trial(
    router: Router,
    contest: Contest,
    policies: Sequence[Policy],
    fit: Callable[[Policy | None], object],
    chunks: Iterable[Queries],
) -> Entry:
    """As `run_router`, however the router is fitted.

    Args:
        router: Unfitted.
        contest: The split and its normalisation.
        policies: To choose by.
        fit: Fits the router, under a policy where it is bound to one.
        chunks: The test queries, in chunks; gone through once for every fit.
    """
    entry = Entry(router.name)
    for some in [[policy] for policy in policies] if router.policy_bound else [policies]:
        if router.policy_bound and some[0].is_constrained:
            continue
        start = time.perf_counter()
        fit(some[0] if router.policy_bound else None)
        entry.fit_s += time.perf_counter() - start
        observe_chunks(router, contest, some, chunks, entry)
    return entry


def observe(
    router: Router,
    contest: Contest,
    policies: Sequence[Policy],
    queries: Queries,
    entry: Entry | None = None,
) -> Entry:
    """Asks a fitted router about the test side and adds to its entry what it answers."""
    return observe_chunks(router, contest, policies, [queries], entry)


def observe_chunks(
    router: Router,
    contest: Contest,
    policies: Sequence[Policy],
    chunks: Iterable[Queries],
    entry: Entry | None = None,
) -> Entry:
    """As `observe`, of queries whose features come in chunks, at least one."""
    entry = entry or Entry(router.name)
    parts: list[Estimates] = []
    first: Queries = []
    seconds = 0.0
    for chunk in chunks:
        start = time.perf_counter()
        parts.append(router.estimate(chunk))
        seconds += time.perf_counter() - start
        first = first if len(first) else chunk[:_TIMED_DECISIONS]
    start = time.perf_counter()
    estimates = _joined(parts)
    for policy in policies:
        entry.picks[policy.name] = router.choose(estimates, policy)
    seconds += time.perf_counter() - start
    entry.route_us_per_query = 1e6 * seconds / len(contest.test)
    entry.decide_p50_ms = _decision_latency(router, first, policies[0])
    if not router.policy_bound and router.trades_off:
        _describe(entry, estimates, contest)
    return entry


def _joined(parts: Sequence[Estimates]) -> Estimates:
    if len(parts) == 1:
        return parts[0]
    optional = {
        name: None if getattr(parts[0], name) is None
        else np.concatenate([getattr(part, name) for part in parts])
        for name in ("quality_std", "task_weights")
    }  # fmt: skip
    return Estimates(
        parts[0].arms,
        np.concatenate([part.quality for part in parts]),
        np.concatenate([part.cost_usd for part in parts]),
        **optional,
    )


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
