"""Bradley-Terry strengths from the arms' pairwise comparisons, local to groups of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.outcome_sums import OutcomeSums
from fusionfactory.routers.base import Router

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.routers.stream import Stream
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
    fits_from = "statistics"

    strength_: FloatArray
    line_: FloatArray

    def __init__(
        self, *, encoder: str | Encoder = "text", seed: int = 0, prior: float = 2.0
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.prior = prior

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        self._take([table], OutcomeSums.of(table))

    def _fit_stream(self, stream: Stream) -> None:
        self._take((table for table, _ in stream.blocks()), stream.sums)

    def _take(self, blocks: Iterable[OutcomeTable], sums: OutcomeSums) -> None:
        """Learns from the battles in all blocks, and the tasks' mean qualities."""
        total, count = sums.quality()
        mean = float(total.sum() / count.sum())
        if len(self.arms_) == 1:
            self.strength_ = np.zeros((len(sums.tasks), 1))
            self.line_ = np.array([0.0, mean])
            return
        tables = np.zeros((len(sums.tasks), len(self.arms_), len(self.arms_)))
        for block in blocks:
            for place, task in enumerate(sums.tasks):
                tables[place] += _battles(block.quality[block.tasks == task])
        overall = tables.sum(axis=0)
        games = np.maximum(overall + overall.T, 1.0)
        self.strength_ = np.stack([bradley_terry(t + self.prior * overall / games) for t in tables])
        known = count > 0
        means = np.divide(total, count, out=np.full(total.shape, np.nan), where=known)
        centred = means - np.nanmean(means, axis=1, keepdims=True)
        spread = float((self.strength_[known] ** 2).sum())
        slope = (
            float((self.strength_[known] * centred[known]).sum()) / spread if spread > 0 else 0.0
        )
        self.line_ = np.array([max(slope, 0.0), mean])

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
