"""One split of a table, the baselines on it, and what every router chose there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.metrics import curve, hull
from fusionfactory.outcome_sums import OutcomeSums
from fusionfactory.policy import Normaliser, Policy, choose
from fusionfactory.routers.baselines import (
    BestSingleRouter,
    CheapestRouter,
    DearestRouter,
    FixedRouter,
    RandomRouter,
)
from fusionfactory.routers.frontier import sweep, trade_offs
from fusionfactory.types import Estimates, FloatArray, IntArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.table import OutcomeTable

__all__ = ["Contest", "Entry", "baseline_entries", "oracle_entry"]

_MIXTURES = 11


@dataclass
class Entry:
    """What one router did on the test side.

    Attributes:
        name: As given.
        fit_s: Seconds of `fit`, encoding left out; summed over policies for a bound router.
        route_us_per_query: Microseconds per query to estimate and choose in one batch.
        decide_p50_ms: Median milliseconds of one decision.
        picks: Policy name to (n,) chosen columns.
        points: (s, 2) curve of mean cost and quality; empty for routers without one.
        apgr: Between the cheapest and the best single arm; NaN where unknown.
        calibration: Rows of mean expected and observed quality and number of cells.
    """

    name: str
    fit_s: float = 0.0
    route_us_per_query: float = 0.0
    decide_p50_ms: float = float("nan")
    picks: dict[str, IntArray] = field(default_factory=dict)
    points: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    apgr: float = float("nan")
    calibration: list[list[float]] = field(default_factory=list)


@dataclass
class Contest:
    """A split and everything chosen on its train side.

    Attributes:
        train: Outcomes to learn from; of a table that memory does not hold, a sample of them.
        test: Outcomes to be judged by.
        test_rows: Rows of the test queries in the whole table.
        normaliser: Ranges fitted on train.
        best_single: Column of the best single arm on train.
        cheapest: Column of the cheapest arm on train.
        entries: Router specification to what it did.
        encode_us_per_query: Encoder name to microseconds per distinct text, cache included.
        sums: Of all outcomes to learn from; found from `train` where not given.
    """

    seed: int
    train: OutcomeTable
    test: OutcomeTable
    test_rows: IntArray
    normaliser: Normaliser
    best_single: int
    cheapest: int
    entries: dict[str, Entry] = field(default_factory=dict)
    encode_us_per_query: dict[str, float] = field(default_factory=dict)
    sums: OutcomeSums | None = None

    @cached_property
    def learned(self) -> OutcomeSums:
        """The means of everything to learn from."""
        return self.sums or OutcomeSums.of(self.train)

    @classmethod
    def of(cls, table: OutcomeTable, seed: int, test_share: float) -> Self:
        """Splits a table; near-duplicates stay on one side."""
        split = table.split(test=test_share, seed=seed)
        rows = np.nonzero(
            table.queries["query_id"].is_in(split.test.queries["query_id"].implode())
        )[0]
        return cls(
            seed=seed,
            train=split.train,
            test=split.test,
            test_rows=rows,
            normaliser=Normaliser().fit(split.train),
            best_single=split.train.best_single(),
            cheapest=split.train.cheapest(),
        )

    def reward(self, table: OutcomeTable, policy: Policy) -> FloatArray:
        """(n, m) reward of every cell under a policy.

        For a paper scenario the normalised reward; for a price, quality - cost / worth of one unit
        of quality; for anything else quality.
        """
        if policy.normalised:
            return self.normaliser.reward(table.quality, table.cost_usd, table.tasks, policy)
        if policy.beta > 0:
            return table.quality - table.cost_usd * (policy.beta / policy.alpha)
        return table.quality


def baseline_entries(contest: Contest, policies: Sequence[Policy]) -> dict[str, Entry]:
    """The rows that every leaderboard holds, under their fixed names."""
    entries: dict[str, Entry] = {}
    for router in (
        BestSingleRouter(),
        RandomRouter(seed=contest.seed),
        CheapestRouter(),
        DearestRouter(),
    ):
        router.fit(contest.train)
        if isinstance(router, FixedRouter):
            router.take(contest.learned)
        picks = router.choose(router.estimate(contest.test.texts), policies[0])
        entry = Entry(router.name, picks=dict.fromkeys((p.name for p in policies), picks))
        entry.points = curve(contest.test.quality, contest.test.cost_usd, picks[None])
        entries[router.name] = entry
    entries["task_best"] = _task_best(contest, policies)
    entries["zero"] = _zero(contest, policies)
    entries["oracle"] = oracle_entry(contest, policies)
    return entries


def _task_best(contest: Contest, policies: Sequence[Policy]) -> Entry:
    """Per true task label the arm with the highest mean training reward."""
    entry = Entry("task_best")
    learned = contest.learned
    tests = contest.normaliser.one_hot(contest.test.tasks)
    cost = np.tile(learned.arm_cost_usd(), (len(contest.test), 1))
    for policy in policies:
        total, count = learned.reward(policy, contest.normaliser)
        mean = np.divide(total, count, out=np.full_like(total, -np.inf), where=count > 0)
        entry.picks[policy.name] = choose(_mixed(tests, mean), cost, learned.arm_names)
    entry.points = curve(
        contest.test.quality, contest.test.cost_usd, np.stack(list(entry.picks.values()))
    )
    return entry


def _mixed(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Weights @ values where values may be -inf under a weight of 0."""
    finite = np.where(np.isfinite(values), values, 0.0)
    hidden = weights @ ~np.isfinite(values) > 0
    return np.where(hidden, -np.inf, weights @ finite)


def _zero(contest: Contest, policies: Sequence[Policy]) -> Entry:
    """Mixtures of single arms that ask no question of the query (RouterBench's Zero router).

    Reward is linear in a mixture, so under a scenario the best one is a single arm; its curve joins
    the test means of the arms on the training hull.
    """
    entry = Entry("zero")
    learned, test = contest.learned, contest.test
    cost = learned.arm_cost_usd()
    for policy in policies:
        total, count = (sums.sum(axis=0) for sums in learned.reward(policy, contest.normaliser))
        mean = np.divide(total, count, out=np.full_like(total, -np.inf), where=count > 0)
        arm = int(choose(mean[None], cost[None], learned.arm_names)[0])
        entry.picks[policy.name] = np.full(len(test), arm)
    means = np.stack([cost, learned.arm_quality()], axis=1)
    corners = [int(np.nonzero((means == point).all(axis=1))[0][0]) for point in hull(means)]
    if corners:
        tested = np.stack([test.arm_cost_usd(), test.arm_quality()], axis=1)[corners]
        steps = np.linspace(0, len(corners) - 1, (len(corners) - 1) * (_MIXTURES - 1) + 1)
        at = np.arange(len(corners))
        entry.points = np.stack([np.interp(steps, at, tested[:, axis]) for axis in (0, 1)], axis=1)
    return entry


def oracle_entry(contest: Contest, policies: Sequence[Policy]) -> Entry:
    """Per query the arm with the best observed reward; ties go to the cheapest."""
    entry = Entry("oracle")
    test = contest.test
    for policy in policies:
        rewards = np.nan_to_num(contest.reward(test, policy), nan=-np.inf)
        entry.picks[policy.name] = choose(rewards, test.cost_usd, test.arm_names)
    if test.has_costs:
        seen = Estimates(test.arm_names, np.nan_to_num(test.quality, nan=-1.0), test.cost_usd)
        entry.points = curve(test.quality, test.cost_usd, sweep(seen, trade_offs(test.cost_usd)))
    return entry
