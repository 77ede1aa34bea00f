"""Kernel smoothing of what the task leaves unexplained, each encoder with its own kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import ConfigError
from fusionfactory.estimator import Estimator
from fusionfactory.missing import complete
from fusionfactory.routers.base import Router
from fusionfactory.routers.folds import fold_numbers
from fusionfactory.routers.linear import solve_ridge
from fusionfactory.routers.tasks import TaskHead, label_means, task_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["KernelRouter", "KernelSmoother"]

_WIDTH = 0.6
_LEAST_EIGENVALUE = 1e-6
_CHUNK = 1024
_ALPHAS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e6)
"""The last leaves an arm alone of which nothing can be told."""


class KernelSmoother(Estimator):
    """Kernel ridge regression on landmarks (Nystroem; Williams & Seeger, 2001).

    The kernel is a sum of Gaussians, one per part of the features, times the odds that two queries
    are of one task: what holds within a task is learnt from its own queries. A Gaussian is as wide
    as .6 of the median distance between landmarks. Targets are rotated to the directions in which
    arms vary together and each direction gets the penalty of its own least leave-one-out error, so
    that how hard a query is can be smoothed less than which arm is ahead on it.

    Args:
        landmarks: Training queries that carry the kernel, at most.
        seed: Of their draw.
    """

    bank_: tuple[FloatArray, ...]
    bank_odds_: FloatArray
    scale_: FloatArray
    whitening_: FloatArray
    weights_: FloatArray
    intercept_: FloatArray

    def __init__(self, *, landmarks: int = 600, seed: int = 0) -> None:
        self.landmarks = landmarks
        self.seed = seed

    def cross_fit(
        self,
        parts: Sequence[FloatArray],
        odds: FloatArray,
        quality: FloatArray,
        labels: IntArray,
        folds: IntArray,
    ) -> FloatArray:
        """Fits on all queries, and on the rest of each fold to tell what that is worth.

        Args:
            parts: (n, d_p) rows of every part of the features, see `Views.kernel`.
            odds: (n, t) of the tasks, out of fold.
            quality: (n, m), complete.
            labels: (n,) the true tasks, whose mean qualities are taken off.
            folds: (n,) fold numbers.

        Returns:
            (n, m) out-of-fold expected quality beyond the task's mean.
        """
        self._place(parts, odds)
        design = self._kernel(parts, odds) @ self.whitening_
        out = np.zeros(quality.shape)
        for fold in np.unique(folds):
            held = folds == fold
            used = ~held if not held.all() else held
            coef, intercept = _ridge(design, quality, labels, used)
            out[held] = design[held] @ coef + intercept
        coef, self.intercept_ = _ridge(design, quality, labels, np.ones(len(odds), dtype=bool))
        self.weights_ = self.whitening_ @ coef
        return out

    def _place(self, parts: Sequence[FloatArray], odds: FloatArray) -> None:
        """Draws the landmarks, and sets widths and the whitening of their kernel."""
        if self.landmarks < 1:
            msg = f"must be at least 1, got {self.landmarks}"
            raise ConfigError(msg, field="landmarks")
        self.reset()
        rng = np.random.default_rng(self.seed)
        drawn = np.sort(rng.permutation(len(odds))[: self.landmarks])
        self.bank_odds_ = odds[drawn]
        self.scale_ = np.ones(len(parts))
        self.bank_ = tuple(np.ascontiguousarray(part[drawn]) for part in parts)
        for index, rows in enumerate(self.bank_):
            apart = _distances(rows, rows)[np.triu_indices(len(rows), 1)]
            middle = float(np.median(apart)) if apart.size else 0.0
            self.scale_[index] = 1.0 / (2 * _WIDTH**2 * middle) if middle > 0 else 1.0
        values, vectors = np.linalg.eigh(self._kernel(self.bank_, self.bank_odds_))
        kept = values > max(values[-1], 0.0) * _LEAST_EIGENVALUE
        self.whitening_ = vectors[:, kept] / np.sqrt(values[kept])

    def _kernel(self, parts: Sequence[FloatArray], odds: FloatArray) -> FloatArray:
        """(n, l) between queries and landmarks."""
        total = np.zeros((len(odds), len(self.bank_odds_)))
        for rows, bank, scale in zip(parts, self.bank_, self.scale_, strict=True):
            total += np.exp(-scale * _distances(rows, bank))
        return total * (odds @ self.bank_odds_.T)

    def predict(self, parts: Sequence[FloatArray], odds: FloatArray) -> FloatArray:
        """(n, m) expected quality beyond the task's mean."""
        out = np.zeros((len(odds), len(self.intercept_)))
        for start in range(0, len(odds), _CHUNK):
            rows = slice(start, start + _CHUNK)
            kernel = self._kernel([part[rows] for part in parts], odds[rows])
            out[rows] = kernel @ self.weights_ + self.intercept_
        return out


class KernelRouter(Router):
    """A task head, and kernel smoothing of what the task leaves unexplained.

    Args:
        encoder: See `Router`; of `minilm+text` each has its own kernel.
        seed: Of folds and landmarks.
        landmarks: See `KernelSmoother`.
        folds: Of the cross-fitting that tells the odds of the tasks.
    """

    name = "kernel"

    head_: TaskHead
    smoother_: KernelSmoother
    labels_count_: int

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        landmarks: int = 600,
        folds: int = 5,
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.landmarks = landmarks
        self.folds = folds

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        if self.folds < 2:
            msg = f"must be at least 2, got {self.folds}"
            raise ConfigError(msg, field="folds")
        quality, labels = complete(table.quality), task_labels(table)
        folds = fold_numbers(table.groups(), self.folds, self.seed)
        linear = self.views_.linear(features)
        self.labels_count_ = int(labels.max()) + 1
        odds = np.zeros((len(table), self.labels_count_))
        for fold in np.unique(folds):
            held = folds == fold
            used = ~held if not held.all() else held
            head = TaskHead().fit(linear[used], labels[used], quality[used])
            odds[held] = head.odds(linear[held], self.labels_count_)
        self.head_ = TaskHead().fit(linear, labels, quality)
        self.smoother_ = KernelSmoother(landmarks=self.landmarks, seed=self.seed)
        self.smoother_.cross_fit(self.views_.kernel(features), odds, quality, labels, folds)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        linear = self.views_.linear(features)
        odds = self.head_.odds(linear, self.labels_count_)
        rest = self.smoother_.predict(self.views_.kernel(features), odds)
        return np.asarray(self.head_.predict(linear) + rest)


def _ridge(
    design: FloatArray, quality: FloatArray, labels: IntArray, used: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Coefficients (r, m) and intercepts (m,) of what the task leaves unexplained."""
    rest = quality[used] - label_means(quality[used], labels[used])
    return solve_ridge(design[used], rest, _ALPHAS, each=True)


def _distances(rows: FloatArray, bank: FloatArray) -> FloatArray:
    """(n, l) squared distances."""
    lengths = (rows**2).sum(axis=1)[:, None] + (bank**2).sum(axis=1)
    return np.asarray(np.maximum(lengths - 2 * rows @ bank.T, 0.0))
