"""The ensemble: cross-fitted members, weights that hold out of fold, and a way back to one arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import ConfigError
from fusionfactory.missing import complete
from fusionfactory.routers.base import Router
from fusionfactory.routers.cost import CostModel
from fusionfactory.routers.doubt import Doubt
from fusionfactory.routers.folds import fold_numbers
from fusionfactory.routers.forest import Forest
from fusionfactory.routers.tasks import TaskHead, task_labels

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

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
    """Task head, trees, and trees on what the task leaves unexplained, weighted out of fold.

    The members are fitted on folds of near-duplicate groups, and a prediction is the mean of the
    fold models:

    - a task head: the tasks' mean qualities mixed by the odds of a logistic regression;
    - extra trees on quality, their splits guided by the task as well;
    - extra trees on the differences between arms that the true task leaves unexplained, the good
      arms weighing most.

    Weights are non-negative least squares of the out-of-fold *differences between arms*, which is
    all that a choice depends on.

    Fallback: where quality alone counts, another arm must beat the best single arm by a margin: the
    least one at which the out-of-fold paired gain exceeds its standard error, 0 if that will do.
    Where none does, the trees lose three quarters of their weight and the margin exceeds every
    contrast seen, so that the best single arm answers; cheaper arms can still win on price.

    Args:
        encoder: See `Router`.
        seed: Of the folds and the trees.
        folds: Of the cross-fitting.
        trees: Trees per fold and member.
        focus: How sharply the residual trees look at differences between good arms; in quality.
    """

    name = "stack"
    cost_model = ForestCost

    heads_: list[TaskHead]
    forest_: Forest
    doubt_: Doubt
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
        focus: float = 0.1,
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.folds = folds
        self.trees = trees
        self.focus = focus

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        if self.folds < 2:
            msg = f"must be at least 2, got {self.folds}"
            raise ConfigError(msg, field="folds")
        quality = complete(table.quality)
        self.mean_ = quality.mean(axis=0)
        weight = np.exp((self.mean_ - self.mean_.max()) / self.focus)
        self.focus_ = weight / weight.sum()
        folds = fold_numbers(table.groups(), self.folds, self.seed)
        members, forests = self._cross_fit(features, quality, task_labels(table), folds)
        self._weigh(members, table.quality)
        self._choose_margin(members, table)
        count = len(self.heads_)
        scales = [self.weights_[1], self.weights_[2] / np.sqrt(self.focus_)]
        errors = table.quality - self._expected(members)
        self.doubt_ = self._doubt(features, errors, forests, scales, folds)
        shares = [scales[i // count] / count for i in range(2 * count)]
        self.forest_ = Forest.weighted_sum(forests, shares)

    def _cross_fit(
        self, features: FloatArray, quality: FloatArray, labels: IntArray, folds: IntArray
    ) -> tuple[FloatArray, list[Forest]]:
        """(3, n, m) out-of-fold predictions, and the fold forests, those on quality first."""
        linear, trees = self.views_.linear(features), self.views_.trees(features)
        guides = np.eye(int(labels.max()) + 1)[labels]
        scale = np.sqrt(self.focus_)
        members = np.zeros((3, *quality.shape))
        whole, rest = [], []
        self.heads_ = []
        for fold in np.unique(folds):
            held = folds == fold
            used = ~held if not held.all() else held
            seed = self.seed + int(fold)
            self.heads_.append(TaskHead().fit(linear[used], labels[used], quality[used]))
            whole.append(Forest(trees=self.trees, min_leaf=4, max_features=0.3, seed=seed))
            whole[-1].fit(trees[used], quality[used], guides[used])
            residual = quality[used] - _label_means(quality[used], labels[used])
            contrast = (residual - (residual @ self.focus_)[:, None]) * scale
            rest.append(Forest(trees=self.trees, min_leaf=8, max_features=0.2, seed=seed))
            rest[-1].fit(trees[used], contrast)
            members[0, held] = self.heads_[-1].predict(linear[held]) - self.mean_
            members[1, held] = whole[-1].predict(trees[held]) - self.mean_
            members[2, held] = rest[-1].predict(trees[held]) / scale
        return members, whole + rest

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
        for margin in _MARGINS:
            chosen = np.where(contrast.max(axis=1) > margin, contrast.argmax(axis=1), best)
            gain = table.quality[np.arange(len(table)), chosen] - table.quality[:, best]
            gain = gain[~np.isnan(gain)]
            low = float(gain.mean() - gain.std() / np.sqrt(len(gain))) if gain.size else 0.0
            self.margin_, self.fallback_ = margin, low <= _LEAST_GAIN
            if not self.fallback_:
                return
        self.weights_[1:] *= _DISTRUST
        self.offset_ = self._mixed(members).mean(axis=0)
        widest = float(self._contrast(members, best).max())
        self.margin_ = max(widest * _SAFETY, _LEAST_MARGIN)

    def _contrast(self, members: FloatArray, best: int) -> FloatArray:
        """(n, m) out-of-fold expected gain over the best single arm."""
        quality = self._expected(members)
        return np.asarray(quality - quality[:, [best]])

    def _expected(self, members: FloatArray) -> FloatArray:
        """(n, m) out-of-fold expected quality."""
        return np.asarray(self.mean_ + self._mixed(members) - self.offset_)

    def _doubt(
        self,
        features: FloatArray,
        errors: FloatArray,
        forests: list[Forest],
        scales: list[FloatArray],
        folds: IntArray,
    ) -> Doubt:
        """What the errors out of fold say of the spread between trees."""
        trees, count = self.views_.trees(features), len(self.heads_)
        variance = np.zeros_like(errors)
        for index, fold in enumerate(np.unique(folds)):
            pair = Forest.weighted_sum([forests[index], forests[count + index]], scales)
            variance[folds == fold] = pair.moments(trees[folds == fold], members=2)[1]
        return Doubt().fit(self.views_.metric(features), errors, variance, folds)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return self._with_head(features, self.forest_.predict(self.views_.trees(features)))

    def _estimate_both(self, features: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        trees, variance = self.forest_.moments(self.views_.trees(features), members=2)
        return self._with_head(features, trees), self.doubt_.std(variance)

    def _with_head(self, features: FloatArray, trees: FloatArray) -> FloatArray:
        linear = self.views_.linear(features)
        head = np.mean([head.predict(linear) for head in self.heads_], axis=0)
        base = self.mean_ - self.offset_ - (self.weights_[0] + self.weights_[1]) * self.mean_
        return np.asarray(base + self.weights_[0] * head + trees)

    def head_start(self, policy: Policy) -> FloatArray | None:
        """(m,) the margin of the best single arm, where cost does not count."""
        if policy.beta > 0 or policy.budget_usd is not None:
            return None
        favoured = np.zeros(len(self.arms_))
        favoured[self.best_single_] = self.margin_
        return favoured


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
