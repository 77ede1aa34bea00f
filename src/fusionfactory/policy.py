"""How quality and cost trade: the paper's scenarios, a price of quality, budgets, ceilings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.errors import PolicyError
from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Estimates, FloatArray, IntArray

__all__ = ["SCENARIOS", "Normaliser", "Policy", "choose"]

POINT = 0.01
"""One point of quality."""
TIE = 1e-12
"""Utilities that differ by less, relative to the best where that is beyond 1, are equal."""


class Normaliser(Estimator):
    """Min-max ranges of quality and cost per task, fitted on training outcomes (the paper's way).

    A constant column has range 0 and is normalised to 0. A task not seen in training gets the mean
    of the others' weights.
    """

    def fit(self, table: OutcomeTable) -> Normaliser:
        """Takes the ranges of the observed cells of every task."""
        self.reset()
        tasks = table.tasks
        self.tasks_ = tuple(sorted(set(tasks.tolist())))
        self.ranges_ = np.zeros((len(self.tasks_), 4))
        for row, task in enumerate(self.tasks_):
            mask = tasks == task
            for column, cells in ((0, table.quality[mask]), (2, table.cost_usd[mask])):
                seen = cells[~np.isnan(cells)]
                if seen.size:
                    self.ranges_[row, column : column + 2] = seen.min(), seen.max()
        return self

    @classmethod
    def of(cls, ranges: Mapping[str, FloatArray]) -> Self:
        """From the tasks' ranges.

        Args:
            ranges: Task to (4,) least and most quality, least and most cost in USD; 0 where a task
                has neither.
        """
        made = cls()
        made.tasks_ = tuple(sorted(ranges))
        made.ranges_ = np.array([ranges[task] for task in made.tasks_]).reshape(-1, 4)
        return made

    def one_hot(self, tasks: Sequence[str] | NDArray[np.str_]) -> FloatArray:
        """(n, t) task weights for known names; an unknown task weighs all equally."""
        known = np.asarray(tasks)[:, None] == np.asarray(self.tasks_)[None, :]
        return np.where(known.any(axis=1, keepdims=True), known, 1.0 / len(self.tasks_))

    def slopes(self, task_weights: FloatArray | None, n: int) -> tuple[FloatArray, FloatArray]:
        """Expected normalised quality and cost per raw unit of each, (n,) and (n,).

        Args:
            task_weights: (n, t) probabilities of the tasks; None weighs all tasks equally.
            n: Number of queries.
        """
        spans = self.ranges_[:, [1, 3]] - self.ranges_[:, [0, 2]]
        inverse = np.divide(1.0, spans, out=np.zeros_like(spans), where=spans > 0)
        if task_weights is None:
            task_weights = np.full((n, len(self.tasks_)), 1.0 / len(self.tasks_))
        weighted = task_weights @ inverse
        return weighted[:, 0], weighted[:, 1]

    def reward(
        self, quality: FloatArray, cost_usd: FloatArray, tasks: NDArray[np.str_], policy: Policy
    ) -> FloatArray:
        """Alpha * normalised quality - beta * normalised cost, elementwise.

        Args:
            quality: (n,) or (n, m).
            cost_usd: The same shape, in USD.
            tasks: (n,) task names.
            policy: A policy with `normalised` weights.
        """
        weights = self.one_hot(tasks)
        slopes = np.stack(self.slopes(weights, len(quality)), axis=1)
        low = weights @ self.ranges_[:, [0, 2]]
        if quality.ndim == 2:
            slopes, low = slopes[:, None, :], low[:, None, :]
        gain = policy.alpha * (quality - low[..., 0]) * slopes[..., 0]
        if policy.beta == 0:
            return np.asarray(gain)
        return np.asarray(gain - policy.beta * (cost_usd - low[..., 1]) * slopes[..., 1])


@dataclass(frozen=True, slots=True)
class Policy:
    """One trade-off between quality and cost: utility = alpha * quality - beta * cost.

    Attributes:
        name: As written on the command line.
        alpha: Weight of quality.
        beta: Weight of cost.
        normalised: Whether the weights stand on quality and cost normalised per task (the paper's
            scenarios) or on raw quality and USD.
        judge: Whether quality means the judge's score.
        budget_usd: Mean USD per query that may be spent; the router finds the price that meets it.
        max_cost_usd: Arms expected to cost more than this on a query are not chosen for it.
    """

    name: str
    alpha: float = 1.0
    beta: float = 0.0
    normalised: bool = False
    judge: bool = False
    budget_usd: float | None = None
    max_cost_usd: float | None = None

    @classmethod
    def price(cls, usd_per_point: float) -> Policy:
        """A point (.01) of quality is worth so many USD per query."""
        _positive(usd_per_point, "price")
        return cls(f"price:{usd_per_point:g}", alpha=usd_per_point / POINT, beta=1.0)

    @classmethod
    def budget(cls, usd_per_1000: float) -> Policy:
        """The best quality for so many USD per 1,000 queries."""
        _positive(usd_per_1000, "budget")
        return cls(f"budget:{usd_per_1000:g}", budget_usd=usd_per_1000 / 1000)

    def with_ceiling(self, max_cost_usd: float) -> Policy:
        """The same trade-off with a ceiling on the expected cost of each query in USD."""
        _positive(max_cost_usd, "max")
        return replace(self, name=f"{self.name},max:{max_cost_usd:g}", max_cost_usd=max_cost_usd)

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Reads `balance`, `price:0.002`, `budget:1.5`, each with an optional `,max:0.01`.

        Raises:
            PolicyError: The text is none of these.
        """
        head, _, ceiling = text.partition(",")
        kind, _, value = head.partition(":")
        if head in SCENARIOS:
            policy = SCENARIOS[head]
        elif kind == "price":
            policy = cls.price(_number(value, text))
        elif kind == "budget":
            policy = cls.budget(_number(value, text))
        else:
            msg = (
                f"unknown policy {text!r}; expected {', '.join(SCENARIOS)}, price:USD_PER_POINT or "
                "budget:USD_PER_1000_QUERIES, each with an optional ,max:USD_PER_QUERY"
            )
            raise PolicyError(msg)
        if not ceiling:
            return policy
        label, _, value = ceiling.partition(":")
        if label != "max":
            msg = f"{ceiling!r} in {text!r} is no ceiling: expected max:USD_PER_QUERY"
            raise PolicyError(msg)
        return policy.with_ceiling(_number(value, text))

    @property
    def is_constrained(self) -> bool:
        """Whether it is more than a paper scenario: a price in USD, a budget or a ceiling."""
        return not self.normalised or self.budget_usd is not None or self.max_cost_usd is not None

    def utility(self, estimates: Estimates, normaliser: Normaliser) -> FloatArray:
        """(n, m) utility; -inf for arms over the ceiling, unless every arm is over it.

        Raises:
            PolicyError: Cost matters and no arm's cost is known.
        """
        n = len(estimates)
        gain = np.full(n, self.alpha)
        loss = np.full(n, self.beta)
        if self.normalised:
            quality_slope, cost_slope = normaliser.slopes(estimates.task_weights, n)
            gain, loss = gain * quality_slope, loss * cost_slope
        utility = gain[:, None] * estimates.quality
        if self.beta > 0 or self.max_cost_usd is not None:
            unknown = np.isnan(estimates.cost_usd)
            if unknown.all():
                msg = f"policy {self.name!r} weighs cost, but no arm's cost is known"
                raise PolicyError(msg)
            utility = utility - loss[:, None] * np.where(unknown, 0.0, estimates.cost_usd)
            utility[unknown] = -np.inf
        if self.max_cost_usd is not None:
            over = ~(estimates.cost_usd <= self.max_cost_usd)
            everywhere = over.all(axis=1, keepdims=True)
            cheapest = np.nan_to_num(estimates.cost_usd, nan=np.inf)
            cheapest = cheapest == cheapest.min(axis=1, keepdims=True)
            utility = np.where(np.where(everywhere, ~cheapest, over), -np.inf, utility)
        return np.asarray(utility)


SCENARIOS: dict[str, Policy] = {
    "performance": Policy("performance", 1.0, 0.0, normalised=True),
    "balance": Policy("balance", 0.5, 0.5, normalised=True),
    "cost": Policy("cost", 0.2, 0.8, normalised=True),
    "judge": Policy("judge", 1.0, 0.0, normalised=True, judge=True),
}
"""The paper's scenarios."""


def choose(utility: FloatArray, cost_usd: FloatArray, arms: Sequence[str]) -> IntArray:
    """(n,) columns of the highest utility; ties go to the lower cost, then to the arm's name.

    Args:
        utility: (n, m).
        cost_usd: (n, m) expected USD; NaN counts as dearer than any known cost.
        arms: m names.
    """
    best = utility.max(axis=1, keepdims=True)
    tied = utility >= best - TIE * np.maximum(1.0, np.abs(best))
    cost = np.where(tied, np.nan_to_num(cost_usd, nan=np.finfo(np.float64).max), np.inf)
    order = np.argsort(np.asarray(arms), kind="stable")
    return np.asarray(order[np.argmin(cost[:, order], axis=1)])


def _positive(value: float, name: str) -> None:
    if not 0 < value < np.inf:
        msg = f"must be a positive number, got {value}"
        raise PolicyError(msg, field=name)


def _number(text: str, policy: str) -> float:
    try:
        return float(text)
    except ValueError:
        msg = f"{text!r} in policy {policy!r} is no number"
        raise PolicyError(msg) from None
