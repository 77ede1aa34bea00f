"""The ensemble: cross-fitted members, weights that hold out of fold, and a way back to one arm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.routers.base import Router
from fusionfactory.routers.cost import CostModel
from fusionfactory.routers.forest import Forest
from fusionfactory.routers.kernel import KernelRidge
from fusionfactory.routers.tasks import TaskHead, task_labels
from fusionfactory.table import complete

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, Estimates, FloatArray, IntArray

__all__ = ["StackRouter"]

_MARGINS = (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12)
_LEAST_GAIN = 5e-4
_DISTRUST = 0.25
_SAFETY = 1.25
_LEAST_MARGIN = 0.02


class ForestCost(CostModel):
    """Logarithms of tokens by extra trees and ridge regression, averaged."""

    forest_: Forest

    def _learn(self, features: FloatArray, logs: FloatArray) -> None:
        super()._learn(features, logs)
        self.forest_ = Forest(trees=60, min_leaf=5, max_features=0.3).fit(features, logs)

    def _logs(self, features: FloatArray) -> FloatArray:
        return np.asarray(0.5 * (super()._logs(features) + self.forest_.predict(features)))


class StackRouter(Router):
    """Task head + residual trees + residual kernel ridge, weighted out of fold.

    The members are fitted on folds of near-duplicate groups: a task head (logistic regression;
    the task's mean quality per arm, mixed by its probabilities), and what its true task leaves
    unexplained by extra trees and by kernel ridge regression. A prediction is the mean of the fold
    models. Weights are non-negative least squares of the out-of-fold *differences between arms*,
    which is all that a choice depends on.

    Fallback: where quality alone counts, another arm must beat the best single arm by a margin, the
    one with the best lower end (mean - one standard error) of the out-of-fold paired gain. Where no
    margin gains, the residual members lose three quarters of their weight and the margin exceeds
    every contrast seen, so that the best single arm answers; cheaper arms can still win on price.

    Args:
        encoder: See `Router`.
        seed: Of the folds and the trees.
        folds: Of the cross-fitting.
        trees: Trees per fold.
        penalty: Of the kernel ridge regression.
        focus: How sharply the trees look at differences between good arms; in quality.
    """

    name = "stack"
    cost_model = ForestCost

    heads_: list[TaskHead]
    forest_: Forest
    kernel_: KernelRidge
    mean_: FloatArray
    focus_: FloatArray
    weights_: FloatArray
    offset_: FloatArray
    margin_: float
    fallback_: bool

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        folds: int = 5,
        trees: int = 40,
        penalty: float = 6.0,
        focus: float = 0.1,
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.folds = folds
        self.trees = trees
        self.penalty = penalty
        self.focus = focus

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:  # noqa: ARG002
        quality = complete(table.quality)
        self.mean_ = quality.mean(axis=0)
        weight = np.exp((self.mean_ - self.mean_.max()) / self.focus)
        self.focus_ = weight / weight.sum()
        members = self._cross_fit(
            features, quality, task_labels(table), self._folds(table.groups())
        )
        self._weigh(members, table.quality)
        self._choose_margin(members, table)

    def _folds(self, groups: IntArray) -> IntArray:
        """(n,) fold numbers, near-duplicates in one fold."""
        count = int(groups.max()) + 1
        order = np.random.default_rng(self.seed).permutation(count)
        return np.asarray(order[groups] % min(self.folds, count))

    def _cross_fit(
        self, features: FloatArray, quality: FloatArray, labels: IntArray, folds: IntArray
    ) -> FloatArray:
        """(3, n, m) out-of-fold predictions of the members; keeps their fold models."""
        linear, metric = self.views_.linear(features), self.views_.metric(features)
        trees = self.views_.trees(features)
        scale = np.sqrt(self.focus_)
        members = np.zeros((3, *quality.shape))
        heads, forests, kernels = [], [], []
        for fold in np.unique(folds):
            held = folds == fold
            used = ~held if not held.all() else held
            head = TaskHead().fit(linear[used], labels[used], quality[used])
            residual = quality[used] - _label_means(quality[used], labels[used])
            contrast = (residual - (residual @ self.focus_)[:, None]) * scale
            forest = Forest(
                trees=self.trees, min_leaf=8, max_features=0.2, seed=self.seed + int(fold)
            )
            forest.fit(trees[used], contrast)
            kernel = KernelRidge(penalty=self.penalty)
            kernel.fit(metric[used], residual - residual.mean(axis=0))
            members[0, held] = head.predict(linear[held]) - self.mean_
            members[1, held] = forest.predict(trees[held]) / scale
            members[2, held] = kernel.predict(metric[held])
            heads.append(head)
            forests.append(forest)
            kernels.append(kernel)
        self.heads_, self.forest_ = heads, Forest.mean(forests)
        self.kernel_ = KernelRidge.mean(kernels)
        return members

    def _weigh(self, members: FloatArray, quality: FloatArray) -> None:
        """Non-negative least squares of the differences between arms, on the observed cells."""
        from scipy.optimize import nnls

        seen = ~np.isnan(quality)
        target = np.where(seen, quality - self.mean_, 0.0)
        centred = [_centred(member, seen)[seen] for member in (*members, target)]
        self.weights_ = nnls(np.stack(centred[:-1], axis=1), centred[-1])[0]
        self.offset_ = self._mixed(members).mean(axis=0)

    def _mixed(self, members: FloatArray) -> FloatArray:
        return np.asarray(np.tensordot(self.weights_, members, axes=1))

    def _choose_margin(self, members: FloatArray, table: OutcomeTable) -> None:
        """The margin by which an arm must beat the best single one, or the fallback."""
        best = table.best_single()
        contrast = self._contrast(members, best)
        found, self.margin_, self.fallback_ = _LEAST_GAIN, 0.0, True
        for margin in _MARGINS:
            chosen = np.where(contrast.max(axis=1) > margin, contrast.argmax(axis=1), best)
            gain = table.quality[np.arange(len(table)), chosen] - table.quality[:, best]
            gain = gain[~np.isnan(gain)]
            low = float(gain.mean() - gain.std() / np.sqrt(len(gain))) if gain.size else 0.0
            if low > found:
                found, self.margin_, self.fallback_ = low, margin, False
        if self.fallback_:
            self.weights_[1:] *= _DISTRUST
            self.offset_ = self._mixed(members).mean(axis=0)
            widest = float(self._contrast(members, best).max())
            self.margin_ = max(widest * _SAFETY, _LEAST_MARGIN)

    def _contrast(self, members: FloatArray, best: int) -> FloatArray:
        """(n, m) out-of-fold expected gain over the best single arm."""
        quality = self.mean_ + self._mixed(members) - self.offset_
        return np.asarray(quality - quality[:, [best]])

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        linear = self.views_.linear(features)
        head = np.mean([head.predict(linear) for head in self.heads_], axis=0) - self.mean_
        forest = self.forest_.predict(self.views_.trees(features)) / np.sqrt(self.focus_)
        kernel = self.kernel_.predict(self.views_.metric(features))
        return np.asarray(self.mean_ + self._mixed(np.stack([head, forest, kernel])) - self.offset_)

    def choose(self, estimates: Estimates, policy: Policy) -> IntArray:
        """(n,) columns; where cost does not count, the best single arm keeps its margin."""
        if policy.beta == 0 and policy.budget_usd is None:
            quality = estimates.quality.copy()
            quality[:, self.best_single_] += self.margin_
            estimates = replace(estimates, quality=quality)
        return super().choose(estimates, policy)


def _label_means(quality: FloatArray, labels: IntArray) -> FloatArray:
    """(n, m) mean quality of each row's label."""
    names, index = np.unique(labels, return_inverse=True)
    member = np.eye(len(names))[index]
    means = (member.T @ quality) / member.sum(axis=0)[:, None]
    return np.asarray(means[index])


def _centred(values: FloatArray, seen: BoolArray) -> FloatArray:
    """Rows minus their mean over the observed cells."""
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    return np.asarray(values - np.where(seen, values, 0.0).sum(axis=1, keepdims=True) / count)
