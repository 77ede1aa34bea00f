"""What every router must beat: one arm for all, chance, the best arm of the task."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.routers.base import Router

if TYPE_CHECKING:
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Estimates, FloatArray, IntArray

__all__ = [
    "BestSingleRouter",
    "CheapestRouter",
    "DearestRouter",
    "FixedRouter",
    "RandomRouter",
    "TaskRouter",
]


class FixedRouter(Router):
    """Answers every query with one arm, whatever the policy.

    Its estimates are the arms' training means.

    Args:
        seed: Unused; for the contract.
    """

    uses_features = False
    trades_off = False

    chosen_: int
    means_: FloatArray

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__(seed=seed)

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        self.means_ = table.arm_quality()
        self.chosen_ = self._pick(table)

    @abstractmethod
    def _pick(self, table: OutcomeTable) -> int:
        """Column of the arm."""

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return np.tile(self.means_, (len(features), 1))

    def choose(self, estimates: Estimates, policy: Policy) -> IntArray:
        """(n,) times the one arm."""
        return np.full(len(estimates), self.chosen_)


class BestSingleRouter(FixedRouter):
    """The arm with the highest mean training quality; ties go to the cheaper one."""

    name = "best_single"

    def _pick(self, table: OutcomeTable) -> int:
        return table.best_single()


class CheapestRouter(FixedRouter):
    """The arm with the lowest mean training cost; the worse one where costs are equal."""

    name = "cheapest"

    def _pick(self, table: OutcomeTable) -> int:
        return table.cheapest()


class DearestRouter(FixedRouter):
    """The arm with the highest mean training cost; the better one where costs are equal."""

    name = "dearest"

    def _pick(self, table: OutcomeTable) -> int:
        cost = np.nan_to_num(table.arm_cost_usd(), nan=-np.inf)
        return int(np.lexsort((np.asarray(table.arm_names), -table.arm_quality(), -cost))[0])


class RandomRouter(Router):
    """A uniformly random arm per query; the draws go on from call to call.

    Args:
        seed: Of the draws.
    """

    name = "random"
    uses_features = False
    trades_off = False

    means_: FloatArray

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__(seed=seed)

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        self.means_ = table.arm_quality()

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return np.tile(self.means_, (len(features), 1))

    def choose(self, estimates: Estimates, policy: Policy) -> IntArray:
        """(n,) uniform draws."""
        if not hasattr(self, "_draws"):
            self._draws = np.random.default_rng(self.seed)
        return self._draws.integers(len(self.arms_), size=len(estimates))

    def _propensity(self) -> float:
        return 1.0 / len(self.arms_)


class TaskRouter(Router):
    """The best arm of the query's predicted task: tasks' mean qualities mixed by task odds.

    Args:
        encoder: See `Router`.
        seed: Unused; for the contract.
    """

    name = "task"

    quality_: FloatArray

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        self.quality_ = task_quality(table, self.normaliser_.one_hot(table.tasks))

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return self._task_weights(features) @ self.quality_


def task_quality(table: OutcomeTable, task_weights: FloatArray, prior: float = 1.0) -> FloatArray:
    """(t, m) mean quality per task and arm, drawn to the arm's mean by `prior` observations."""
    count = task_weights.T @ table.observed()
    total = task_weights.T @ np.nan_to_num(table.quality)
    return np.asarray((total + prior * table.arm_quality()) / (count + prior))
