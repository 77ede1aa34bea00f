"""What the stack weighs beside its kernel: a task head and two forests, fitted on some queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.routers.forest import Forest
from fusionfactory.routers.tasks import TaskHead, label_means

if TYPE_CHECKING:
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Lesson", "Members"]


@dataclass(frozen=True)
class Lesson:
    """What members learn from.

    Attributes:
        linear: (n, d) features for the head.
        trees: (n, d') features for the forests.
        quality: (n, m), complete.
        labels: (n,) the true tasks.
        weights: (n, m) how much each cell counts for the forests, see `cell_weights`.
    """

    linear: FloatArray
    trees: FloatArray
    quality: FloatArray
    labels: IntArray
    weights: FloatArray | None = None

    def rows(self, used: BoolArray) -> Lesson:
        """Of these queries alone."""
        weights = None if self.weights is None else self.weights[used]
        return Lesson(
            self.linear[used], self.trees[used], self.quality[used], self.labels[used], weights
        )


class Members(Estimator):
    """A task head, a forest on quality, and one on what the true task leaves unexplained.

    The second forest sees differences between arms, the good arms weighing most.

    Args:
        trees: Of each forest.
        seed: Of the trees.
    """

    head_: TaskHead
    whole_: Forest
    rest_: Forest
    focus_: FloatArray

    def __init__(self, *, trees: int = 40, seed: int = 0) -> None:
        self.trees = trees
        self.seed = seed

    def fit(self, lesson: Lesson, focus: FloatArray) -> Members:
        """Learns from n queries, given (m,) weights of the arms, of sum 1."""
        self.reset()
        self.focus_ = focus
        quality, labels = lesson.quality, lesson.labels
        self.head_ = TaskHead().fit(lesson.linear, labels, quality)
        guides = np.eye(int(labels.max()) + 1)[labels]
        whole = Forest(trees=self.trees, min_leaf=4, max_features=0.3, seed=self.seed)
        self.whole_ = whole.fit(lesson.trees, quality, guides, lesson.weights)
        residual = quality - label_means(quality, labels)
        contrast = (residual - (residual @ focus)[:, None]) * np.sqrt(focus)
        rest = Forest(trees=self.trees, min_leaf=8, max_features=0.2, seed=self.seed)
        self.rest_ = rest.fit(lesson.trees, contrast, weights=lesson.weights)
        return self

    def predict(self, lesson: Lesson) -> FloatArray:
        """(3, n, m) of head, forest, and forest on the rest, by the features alone."""
        rest = self.rest_.predict(lesson.trees) / np.sqrt(self.focus_)
        head, whole = self.head_.predict(lesson.linear), self.whole_.predict(lesson.trees)
        return np.stack([head, whole, rest])

    def forest(self, whole: float, rest: float) -> Forest:
        """Both forests as one that predicts their sum with these weights."""
        return Forest.weighted_sum([self.whole_, self.rest_], [whole, rest / np.sqrt(self.focus_)])
