"""Which arms a cascade asks, and in which order: greedy moves, judged on the training queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fusionfactory.missing import complete
from fusionfactory.plans.ballots import Ballots
from fusionfactory.plans.confidence import solve_logit
from fusionfactory.plans.costs import filled_costs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.plans.state import Said
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["find_stages"]

Stages: TypeAlias = tuple[tuple[int, ...], ...]

_PRICES = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Quality that as much money as the best single arm costs must buy: dear and cheap plans."""
_CANDIDATES = 14
_MOST_STAGES = 5
_MOST_ARMS = 10
_MOVES = 14
_LEAST_GAIN = 5e-4
_CHEAP = 0.1
_TOO_DEAR = 3.0
_CHEAP_ARMS = 4
_DEAR_ARMS = 4
_FEWEST = 10


def find_stages(table: OutcomeTable, said: Said) -> list[list[int]]:
    """Stages of columns: the best of some ladders, improved by greedy moves.

    A ladder begins with arms that cost up to a tenth of the best single one, one or two at a time
    or all together; the best two of the others follow one by one, the next two together.

    A move puts a new arm or one from another stage into a stage or into one of its own anywhere, or
    drops one. A list of stages
    is worth the quality that it reaches, less the price of its calls, where each stage stops above
    the margin between the first and the second answer that is best for it. Votes weigh by one
    conditional logit for all stages, which is what makes thousands of trials affordable.

    Args:
        table: The training queries by all arms.
        said: Their answers, read out of fold.
    """
    bench = _Bench(table, said)
    stages = max(_ladders(table), key=bench.worth)
    worth = bench.worth(stages)
    for _ in range(_MOVES):
        found = max(_moves(stages, bench.candidates), key=bench.worth, default=stages)
        if bench.worth(found) <= worth + _LEAST_GAIN:
            break
        stages, worth = found, bench.worth(found)
    return [list(stage) for stage in stages]


def _ladders(table: OutcomeTable) -> Iterator[Stages]:
    cost, quality = table.arm_cost_usd(), table.arm_quality()
    ranked = [int(arm) for arm in np.argsort(-quality, kind="stable")]
    scale = cost[table.best_single()]
    cheap = [arm for arm in ranked if cost[arm] <= _CHEAP * scale][:_CHEAP_ARMS]
    dear = [arm for arm in ranked if arm not in cheap and not cost[arm] > _TOO_DEAR * scale]
    above = (tuple(dear[:1]), tuple(dear[1:2]), tuple(dear[2:_DEAR_ARMS]))
    for size in (1, 2, _CHEAP_ARMS):
        below = (tuple(cheap[:size]), tuple(cheap[size : 2 * size]))
        yield tuple(stage for stage in (*below, *above) if stage)


def _moves(stages: Stages, candidates: list[int]) -> Iterator[Stages]:
    used = [arm for stage in stages for arm in stage]
    if len(used) < _MOST_ARMS:
        for arm in candidates:
            if arm not in used:
                yield from _with(stages, arm)
    if len(used) > 1:
        for arm in used:
            others = (tuple(other for other in stage if other != arm) for stage in stages)
            left = tuple(stage for stage in others if stage)
            yield left
            yield from _with(left, arm)


def _with(stages: Stages, arm: int) -> Iterator[Stages]:
    for place in range(len(stages)):
        yield (*stages[:place], tuple(sorted((*stages[place], arm))), *stages[place + 1 :])
    if len(stages) < _MOST_STAGES:
        for place in range(len(stages) + 1):
            yield (*stages[:place], (arm,), *stages[place:])


class _Bench:
    """What lists of stages are worth on the training queries; every subset is scored once."""

    def __init__(self, table: OutcomeTable, said: Said) -> None:
        cost = table.arm_cost_usd()
        best = table.best_single()
        scale = float(cost[best]) if cost[best] > 0 else 1.0
        self.cost = filled_costs(table) / scale
        self.alone = complete(table.quality)
        self.quality = np.nan_to_num(table.arm_quality())
        ballots = Ballots.of(said.groups, np.ones_like(said.groups, dtype=bool))
        right = ballots.supported(self.alone) > 0.5
        reading = ballots.votes * said.reading[ballots.query]
        features = np.hstack([ballots.votes, reading.sum(axis=1, keepdims=True)])
        features = features.astype(np.float64)
        coef = solve_logit(features, ballots.query, right, np.zeros(features.shape[1]), 0.003)
        self.ballots, self.right = ballots, right
        self.weights = (ballots.votes * coef[:-1] + reading * coef[-1]).astype(np.float32)
        value = self.quality - self.cost.mean(axis=0) * _PRICES[0]
        self.candidates = [int(arm) for arm in np.argsort(-value, kind="stable")[:_CANDIDATES]]
        self._scored: dict[frozenset[int], tuple[FloatArray, FloatArray]] = {}
        self._worth: dict[Stages, float] = {}

    def worth(self, stages: Stages) -> float:
        """Mean quality less the price of the calls, in units of quality, at all prices together."""
        if stages not in self._worth:
            measured = [self._measure(stages, price) for price in _PRICES]
            self._worth[stages] = sum(measured) / len(measured)
        return self._worth[stages]

    def _measure(self, stages: Stages, price: float) -> float:
        asked = [frozenset(a for s in stages[: k + 1] for a in s) for k in range(len(stages))]
        _, value = self._score(asked[-1])
        for stage in range(len(stages) - 2, -1, -1):
            margin, reached = self._score(asked[stage])
            onward = value - price * self.cost[:, stages[stage + 1]].sum(axis=1)
            gain = np.cumsum((onward - reached)[np.argsort(margin, kind="stable")])
            going = int(gain.argmax()) + 1 if gain.max() > 0 else 0
            going = going if going >= _FEWEST else 0
            value = reached.copy()
            rows = np.argsort(margin, kind="stable")[:going]
            value[rows] = onward[rows]
        return float((value - price * self.cost[:, stages[0]].sum(axis=1)).mean())

    def _score(self, arms: frozenset[int]) -> tuple[FloatArray, FloatArray]:
        """(n,) margin of the leading answer when these arms are asked, (n,) whether it is right."""
        if arms not in self._scored:
            columns = sorted(arms)
            standing = self.ballots.votes[:, columns].any(axis=1)
            part = Ballots(
                self.ballots.query[standing], self.ballots.votes[standing], self.ballots.answered
            )
            total = self.weights[standing][:, columns].sum(axis=1)
            leaders = part.leaders(total)
            some = leaders.ballot >= 0
            # Where no answer can be read, the plan answers by the arm that knows most.
            right = self.alone[:, columns[int(self.quality[columns].argmax())]].copy()
            right[some] = self.right[standing][leaders.ballot[some]]
            self._scored[arms] = leaders.first - np.maximum(leaders.second, 0.0), right
        return self._scored[arms]
