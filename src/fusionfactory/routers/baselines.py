"""What every router must beat: one arm for all, chance, the best arm of the task."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.outcome_sums import OutcomeSums
from fusionfactory.routers.base import Router

if TYPE_CHECKING:
    from fusionfactory.policy import Policy
    from fusionfactory.routers.stream import Stream
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

_PRIOR = 1.0
"""Observations by which a task's mean is drawn to the arm's."""


class FixedRouter(Router):
    """Answers every query with one arm, whatever the policy.

    Its estimates are the arms' training means.

    Args:
        seed: Unused; for the contract.
    """

    uses_features = False
    trades_off = False
    fits_from = "statistics"

    chosen_: int
    means_: FloatArray

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__(seed=seed)

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        self.take(OutcomeSums.of(table))

    def _fit_stream(self, stream: Stream) -> None:
        self.take(stream.sums)

    def take(self, sums: OutcomeSums) -> None:
        """Learns the one arm, and the arms' means."""
        self.means_ = sums.arm_quality()
        self.chosen_ = self._pick(sums)

    @abstractmethod
    def _pick(self, sums: OutcomeSums) -> int:
        """Column of the arm."""

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return np.tile(self.means_, (len(features), 1))

    def choose(self, estimates: Estimates, policy: Policy) -> IntArray:
        """(n,) times the one arm."""
        return np.full(len(estimates), self.chosen_)


class BestSingleRouter(FixedRouter):
    """The arm with the highest mean training quality; ties go to the cheaper one."""

    name = "best_single"

    def _pick(self, sums: OutcomeSums) -> int:
        return sums.best_single()


class CheapestRouter(FixedRouter):
    """The arm with the lowest mean training cost; the worse one where costs are equal."""

    name = "cheapest"

    def _pick(self, sums: OutcomeSums) -> int:
        return sums.cheapest()


class DearestRouter(FixedRouter):
    """The arm with the highest mean training cost; the better one where costs are equal."""

    name = "dearest"

    def _pick(self, sums: OutcomeSums) -> int:
        return sums.dearest()


class RandomRouter(Router):
    """A uniformly random arm per query; the draws go on from call to call.

    Args:
        seed: Of the draws.
    """

    name = "random"
    uses_features = False
    trades_off = False
    fits_from = "statistics"

    means_: FloatArray

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__(seed=seed)

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        self.means_ = table.arm_quality()

    def _fit_stream(self, stream: Stream) -> None:
        self.means_ = stream.sums.arm_quality()

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
    fits_from = "statistics"

    quality_: FloatArray

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        self._take(OutcomeSums.of(table))

    def _fit_stream(self, stream: Stream) -> None:
        self._take(stream.sums)

    def _take(self, sums: OutcomeSums) -> None:
        total, count = sums.quality()
        self.quality_ = (total + _PRIOR * sums.arm_quality()) / (count + _PRIOR)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return self._task_weights(features) @ self.quality_
