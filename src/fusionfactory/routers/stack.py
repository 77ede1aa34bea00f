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
from fusionfactory.routers.kernel import KernelSmoother
from fusionfactory.routers.members import Lesson, Members
from fusionfactory.routers.noise import cell_weights
from fusionfactory.routers.tasks import task_labels

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.routers.tasks import TaskHead
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["StackRouter"]

_MARGINS = (0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12)
_LEAST_GAIN = 5e-4
_DISTRUST = 0.25
_SAFETY = 1.25
_LEAST_MARGIN = 0.02
_FINAL = 4
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-6, 2.0


class ForestCost(CostModel):
    """Logarithms of tokens by extra trees and ridge regression, averaged."""

    forest_: Forest

    def _learn(self, features: FloatArray, logs: FloatArray) -> None:
        super()._learn(features, logs)
        self.forest_ = Forest(trees=60, min_leaf=5, max_features=0.3).fit(features, logs)

    def _logs(self, features: FloatArray) -> FloatArray:
        return np.asarray(0.5 * (super()._logs(features) + self.forest_.predict(features)))


class StackRouter(Router):
    """Task head, trees, and trees and kernels on what the task leaves unexplained, weighted.

    The members are fitted on folds of near-duplicate groups to be weighed, and then on everything,
    with four times the trees:

    - a task head: the tasks' mean qualities mixed by the odds of a logistic regression;
    - extra trees on quality, their splits guided by the task as well;
    - extra trees on the differences between arms that the true task leaves unexplained, the good
      arms weighing most;
    - kernel smoothing of the same differences within the likely task, see `KernelSmoother`.

    Weights are least squares, from 0 to 2, of the out-of-fold *differences between arms*, which is
    all that a choice depends on. Where the table tells of how many answers a quality is the mean
    of, cells count by what their mean is worth, see `cell_weights`.

    Fallback: where quality alone counts, another arm must beat the best single arm by a margin: the
    least one at which the out-of-fold paired gain exceeds its standard error, 0 if that will do.
    Where none does, the trees lose three quarters of their weight and the margin exceeds every
    contrast seen, so that the best single arm answers; cheaper arms can still win on price.

    Args:
        encoder: See `Router`.
        seed: Of the folds and the trees.
        folds: Of the cross-fitting.
        trees: Trees per fold and forest.
        focus: How sharply the residual trees look at differences between good arms; in quality.
        landmarks: Of the kernel member; 0 leaves it out.
    """

    name = "stack"
    cost_model = ForestCost

    head_: TaskHead
    labels_count_: int
    smoother_: KernelSmoother | None
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
        landmarks: int = 600,
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.folds = folds
        self.trees = trees
        self.focus = focus
        self.landmarks = landmarks

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        if self.folds < 2:
            msg = f"must be at least 2, got {self.folds}"
            raise ConfigError(msg, field="folds")
        quality, labels = complete(table.quality), task_labels(table)
        self.labels_count_ = int(labels.max()) + 1
        self.mean_ = quality.mean(axis=0)
        weight = np.exp((self.mean_ - self.mean_.max()) / self.focus)
        self.focus_ = weight / weight.sum()
        folds = fold_numbers(table.groups(), self.folds, self.seed)
        linear, trees = self.views_.linear(features), self.views_.trees(features)
        weights = cell_weights(table.quality, table.samples)
        lesson = Lesson(linear, trees, quality, labels, weights)
        fitted, members = self._cross_fit(features, lesson, folds)
        self._weigh(members, table.quality, weights)
        self._choose_margin(members, table)
        errors = table.quality - self._expected(members)
        self.doubt_ = self._doubt(features, errors, fitted, folds)
        final = Members(trees=_FINAL * self.trees, seed=self.seed + len(fitted))
        final.fit(lesson, self.focus_)
        self.head_ = final.head_
        self.forest_ = final.forest(self.weights_[1], self.weights_[2])

    def _cross_fit(
        self, features: FloatArray, lesson: Lesson, folds: IntArray
    ) -> tuple[list[Members], FloatArray]:
        """The members of every fold, and (4, n, m) predictions out of fold."""
        out = np.zeros((4, *lesson.quality.shape))
        odds = np.zeros((len(folds), self.labels_count_))
        fitted = []
        for number, fold in enumerate(np.unique(folds)):
            held = folds == fold
            used = ~held if not held.all() else held
            members = Members(trees=self.trees, seed=self.seed + number)
            members.fit(lesson.rows(used), self.focus_)
            out[:3, held] = members.predict(lesson.rows(held))
            odds[held] = members.head_.odds(lesson.linear[held], self.labels_count_)
            fitted.append(members)
        out[:2] -= self.mean_
        self.smoother_ = None
        if self.landmarks:
            self.smoother_ = KernelSmoother(landmarks=self.landmarks, seed=self.seed)
            parts = self.views_.kernel(features)
            out[3] = self.smoother_.cross_fit(parts, odds, lesson.quality, lesson.labels, folds)
        return fitted, out

    def _weigh(self, members: FloatArray, quality: FloatArray, weights: FloatArray | None) -> None:
        """Least squares of the differences between arms, on the observed cells.

        Weights are bounded, or a member that found next to nothing would have its noise blown up.
        """
        from scipy.optimize import lsq_linear

        seen = ~np.isnan(quality)
        target = np.where(seen, quality - self.mean_, 0.0)
        centred = [_centred(member, seen)[seen] for member in (*members, target)]
        design, target = np.stack(centred[:-1], axis=1), centred[-1]
        if weights is not None:
            root = np.sqrt(weights[seen])
            design, target = design * root[:, None], target * root
        bounded = lsq_linear(design, target, bounds=(0.0, _MOST_WEIGHT), method="bvls")
        self.weights_ = np.where(bounded.x > _LEAST_WEIGHT, bounded.x, 0.0)
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
        self, features: FloatArray, errors: FloatArray, fitted: list[Members], folds: IntArray
    ) -> Doubt:
        """What the errors out of fold say of the spread between trees."""
        trees = self.views_.trees(features)
        variance = np.zeros_like(errors)
        for members, fold in zip(fitted, np.unique(folds), strict=True):
            forest = members.forest(self.weights_[1], self.weights_[2])
            variance[folds == fold] = forest.moments(trees[folds == fold], members=2)[1]
        return Doubt().fit(self.views_.metric(features), errors, variance, folds)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return self._with_head(features, self.forest_.predict(self.views_.trees(features)))

    def _estimate_both(self, features: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        trees, variance = self.forest_.moments(self.views_.trees(features), members=2)
        return self._with_head(features, trees), self.doubt_.std(variance)

    def _with_head(self, features: FloatArray, trees: FloatArray) -> FloatArray:
        linear = self.views_.linear(features)
        base = self.mean_ - self.offset_ - (self.weights_[0] + self.weights_[1]) * self.mean_
        quality = base + self.weights_[0] * self.head_.predict(linear) + trees
        if self.smoother_ is None or not self.weights_[3]:
            return np.asarray(quality)
        odds = self.head_.odds(linear, self.labels_count_)
        rest = self.smoother_.predict(self.views_.kernel(features), odds)
        return np.asarray(quality + self.weights_[3] * rest)

    def head_start(self, policy: Policy) -> FloatArray | None:
        """(m,) the margin of the best single arm, where cost does not count."""
        if policy.beta > 0 or policy.budget_usd is not None:
            return None
        favoured = np.zeros(len(self.arms_))
        favoured[self.best_single_] = self.margin_
        return favoured


def _centred(values: FloatArray, seen: BoolArray) -> FloatArray:
    """Rows minus their mean over the observed cells."""
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    return np.asarray(values - np.where(seen, values, 0.0).sum(axis=1, keepdims=True) / count)
