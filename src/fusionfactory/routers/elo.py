"""Bradley-Terry strengths from the arms' pairwise comparisons, local to groups of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.metrics import mean_or_nan
from fusionfactory.routers.base import Router

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["EloRouter", "bradley_terry"]

_MAX_ROUNDS = 200
_TOLERANCE = 1e-6


def bradley_terry(wins: FloatArray) -> FloatArray:
    """(m,) log-strengths, mean 0, by minorisation-maximisation (Hunter, 2004).

    Args:
        wins: (m, m) wins of the row over the column; a tie is half a win for either.
    """
    wins = wins + 0.5 * (1 - np.eye(len(wins)))
    games = wins + wins.T
    strength = np.ones(len(wins))
    for _ in range(_MAX_ROUNDS):
        updated = wins.sum(axis=1) / np.maximum(
            (games / (strength[:, None] + strength)).sum(axis=1), 1e-300
        )
        updated /= np.exp(np.log(updated).mean())
        done = np.abs(np.log(updated / strength)).max() < _TOLERANCE
        strength = updated
        if done:
            break
    return np.asarray(np.log(strength))


class EloRouter(Router):
    """Elo in its converged form: one Bradley-Terry table per training task, mixed by task odds.

    A query's strengths mix those of the tasks it may belong to; a line through (strength, mean
    quality) of all tasks and arms turns strengths into expected quality. Works where outcomes are
    only battles, and knows nothing finer than the task.

    Args:
        encoder: See `Router`.
        seed: Unused; for the contract.
        prior: Battles per pair by which a task's table is drawn to the table of all tasks.
    """

    name = "elo"

    strength_: FloatArray
    line_: FloatArray

    def __init__(
        self, *, encoder: str | Encoder = "text", seed: int = 0, prior: float = 2.0
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.prior = prior

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        if len(self.arms_) == 1:
            self.strength_ = np.zeros((len(self.normaliser_.tasks_), 1))
            self.line_ = np.array([0.0, float(np.nanmean(table.quality))])
            return
        member = self.normaliser_.one_hot(table.tasks)
        tables = np.stack([_battles(table.quality[weight > 0]) for weight in member.T])
        overall = tables.sum(axis=0)
        games = np.maximum(overall + overall.T, 1.0)
        self.strength_ = np.stack([bradley_terry(t + self.prior * overall / games) for t in tables])
        means = np.array(
            [[mean_or_nan(arm) for arm in table.quality[weight > 0].T] for weight in member.T]
        )
        known = ~np.isnan(means)
        centred = means - np.nanmean(means, axis=1, keepdims=True)
        spread = float((self.strength_[known] ** 2).sum())
        slope = (
            float((self.strength_[known] * centred[known]).sum()) / spread if spread > 0 else 0.0
        )
        self.line_ = np.array([max(slope, 0.0), float(np.nanmean(table.quality))])

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        strength = self._task_weights(features) @ self.strength_
        return np.asarray(self.line_[0] * strength + self.line_[1])


def _battles(quality: FloatArray) -> FloatArray:
    """(m, m) wins of the row over the column over (n, m) qualities; a tie is half a win."""
    m = quality.shape[1]
    wins = np.zeros((m, m))
    for arm in range(m):
        difference = quality[:, [arm]] - quality
        wins[arm] = (difference > 0).sum(axis=0) + 0.5 * (difference == 0).sum(axis=0)
    np.fill_diagonal(wins, 0.0)
    return wins
