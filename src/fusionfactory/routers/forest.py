"""Extremely randomised trees as flat arrays: fitted by scikit-learn, saved without pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.missing import complete
from fusionfactory.routers.base import Router
from fusionfactory.routers.doubt import Doubt
from fusionfactory.routers.folds import fold_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Forest", "TreesRouter"]

_CHUNK = 256
_FOLDS = 3
_FOLD_TREES = 40
_LEVELS_BETWEEN_CHECKS = 6


class Forest(Estimator):
    """Multi-output extra trees (Geurts et al., 2006).

    All trees stand one after the other in flat arrays, so that a prediction walks every tree at
    once, one level a step.

    Args:
        trees: Number of trees.
        min_leaf: Least training rows in a leaf.
        max_features: Share of the features tried at a split.
        seed: Of the random splits.
    """

    roots_: IntArray
    feature_: IntArray
    threshold_: FloatArray
    children_: IntArray
    value_: FloatArray
    depth_: int

    def __init__(
        self,
        *,
        trees: int = 200,
        min_leaf: int = 4,
        max_features: float = 0.3,
        seed: int = 0,
    ) -> None:
        self.trees = trees
        self.min_leaf = min_leaf
        self.max_features = max_features
        self.seed = seed

    def fit(
        self,
        features: FloatArray,
        targets: FloatArray,
        guides: FloatArray | None = None,
        weights: FloatArray | None = None,
    ) -> Forest:
        """Grows the trees.

        Args:
            features: (n, d).
            targets: (n, k); NaN where missing. Missing cells are filled by row and column effects
                to find the splits; a leaf's value is the mean of its observed cells alone.
            guides: (n, g) further targets that shape the splits and are not predicted.
            weights: (n, k) how much each cell counts; None for all alike.
        """
        from sklearn.ensemble import ExtraTreesRegressor

        self.reset()
        filled = complete(targets)
        shaping = filled if guides is None else np.concatenate([filled, guides], axis=1)
        model = ExtraTreesRegressor(
            self.trees,
            min_samples_leaf=self.min_leaf,
            max_features=self.max_features,
            random_state=self.seed,
            n_jobs=-1,
        )
        per_row = None if weights is None else weights.mean(axis=1)
        shaped = shaping[:, 0] if shaping.shape[1] == 1 else shaping
        model.fit(features, shaped, sample_weight=per_row)
        grown = [tree.tree_ for tree in model.estimators_]
        self.roots_ = np.cumsum([0] + [tree.node_count for tree in grown[:-1]]).astype(np.int32)
        self.depth_ = max(tree.max_depth for tree in grown)
        leaf = [tree.children_left < 0 for tree in grown]
        self.feature_ = np.concatenate(
            [np.where(e, 0, t.feature) for e, t in zip(leaf, grown, strict=True)]
        )
        self.feature_ = self.feature_.astype(np.int32)
        self.threshold_ = np.concatenate(
            [np.where(e, np.inf, t.threshold) for e, t in zip(leaf, grown, strict=True)]
        ).astype(np.float32)
        own = [np.arange(tree.node_count) for tree in grown]
        self.children_ = np.stack(
            [
                np.concatenate(
                    [
                        np.where(e, o, side) + root
                        for e, o, side, root in zip(leaf, own, sides, self.roots_, strict=True)
                    ]
                )
                for sides in (
                    [tree.children_left for tree in grown],
                    [tree.children_right for tree in grown],
                )
            ],
            axis=1,
        ).astype(np.int32)
        self.value_ = self._leaf_values(features, targets, grown, weights)
        return self

    def _leaf_values(
        self,
        features: FloatArray,
        targets: FloatArray,
        grown: list[Any],
        weights: FloatArray | None,
    ) -> FloatArray:
        width = targets.shape[1]
        if weights is None and not np.isnan(targets).any():
            values = [tree.value[:, :width, 0] for tree in grown]
            return np.concatenate(values).astype(np.float32)
        total = np.zeros((len(self.feature_), width))
        count = np.zeros_like(total)
        fallback = np.concatenate([tree.value[:, :width, 0] for tree in grown])
        rows = np.asarray(features, dtype=np.float32)
        counting = ~np.isnan(targets) * (1.0 if weights is None else weights)
        known = np.nan_to_num(targets) * counting
        for root, tree in zip(self.roots_, grown, strict=True):
            leaves = tree.apply(rows) + root
            np.add.at(total, leaves, known)
            np.add.at(count, leaves, counting)
        prior = 1.0
        return ((total + prior * fallback) / (count + prior)).astype(np.float32)

    @classmethod
    def weighted_sum(
        cls, members: Sequence[Forest], weights: Sequence[FloatArray | float]
    ) -> Forest:
        """One forest that predicts the sum of weight x prediction over its members.

        Args:
            members: Fitted on the same columns, with k outputs each.
            weights: Per member, (k,) or a number.
        """
        merged = members[0].clone()
        starts = np.cumsum([0] + [len(member.feature_) for member in members[:-1]])
        pairs = list(zip(members, starts, strict=True))
        merged.roots_ = np.concatenate([m.roots_ + start for m, start in pairs]).astype(np.int32)
        merged.children_ = np.concatenate([m.children_ + start for m, start in pairs])
        merged.children_ = merged.children_.astype(np.int32)
        merged.feature_ = np.concatenate([member.feature_ for member in members])
        merged.threshold_ = np.concatenate([member.threshold_ for member in members])
        shares = [len(merged.roots_) / len(member.roots_) for member in members]
        values = [m.value_ * (w * s) for m, w, s in zip(members, weights, shares, strict=True)]
        merged.value_ = np.concatenate(values).astype(np.float32)
        merged.depth_ = max(member.depth_ for member in members)
        return merged

    def predict(self, features: FloatArray) -> FloatArray:
        """(n, k) mean over the trees."""
        rows = np.ascontiguousarray(features, dtype=np.float32)
        parts = [self._leaves(chunk).mean(axis=1) for chunk in _chunks(rows)]
        return np.concatenate(parts) if parts else np.zeros((0, self.value_.shape[1]))

    def moments(self, features: FloatArray, members: int = 1) -> tuple[FloatArray, FloatArray]:
        """(n, k) mean over the trees, and (n, k) variance between them.

        Args:
            features: (n, d).
            members: Of a `weighted_sum`, in how many equal parts its trees fall whose first trees
                belong together, and so on: such trees count as one, that predicts their sum.
        """
        rows = np.ascontiguousarray(features, dtype=np.float32)
        empty = np.zeros((0, self.value_.shape[1]))
        means, variances = [empty], [empty]
        for chunk in _chunks(rows):
            leaves = self._leaves(chunk)
            shape = (len(chunk), members, -1, leaves.shape[2])
            leaves = leaves.reshape(shape).mean(axis=1)
            means.append(leaves.mean(axis=1))
            variances.append(leaves.var(axis=1))
        return np.concatenate(means), np.concatenate(variances)

    def _leaves(self, rows: FloatArray) -> FloatArray:
        """(n, trees, k) values of the leaves that the rows fall into.

        Walks all trees for all rows, a level a step; every few levels leaves drop out.
        """
        trees = len(self.roots_)
        reached = np.tile(self.roots_.astype(np.intp), len(rows))
        walking = np.arange(len(reached))
        node = reached
        offset = np.repeat(np.arange(len(rows)) * rows.shape[1], trees)
        flat, children = rows.ravel(), self.children_.ravel()
        for level in range(self.depth_ + 1):
            threshold = self.threshold_.take(node)
            if level % _LEVELS_BETWEEN_CHECKS == 0:
                inner = np.isfinite(threshold)
                reached[walking] = node
                walking, node, offset = walking[inner], node[inner], offset[inner]
                threshold = threshold[inner]
                if not len(node):
                    break
            right = flat.take(offset + self.feature_.take(node)) > threshold
            node = children.take(2 * node + right).astype(np.intp)
        reached[walking] = node
        return self.value_.take(reached, axis=0).reshape(len(rows), trees, -1)


def _chunks(rows: FloatArray) -> Iterator[FloatArray]:
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))


class TreesRouter(Router):
    """Extra trees on the embedding; the training tasks guide the splits.

    Args:
        encoder: See `Router`.
        seed: Of the forest and of the folds that its doubt is learnt on.
        trees: Number of trees.
        min_leaf: Least training rows in a leaf.
        max_features: Share of the features tried at a split.
    """

    name = "trees"

    forest_: Forest
    doubt_: Doubt

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        trees: int = 200,
        min_leaf: int = 4,
        max_features: float = 0.3,
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.trees = trees
        self.min_leaf = min_leaf
        self.max_features = max_features

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        guides = self.normaliser_.one_hot(table.tasks)
        self.forest_ = self._grown(self.trees).fit(features, table.quality, guides)
        self._learn_doubt(features, table, guides)

    def _learn_doubt(self, features: FloatArray, table: OutcomeTable, guides: FloatArray) -> None:
        """Learns from forests of some folds how far one is off on the others."""
        folds = fold_numbers(table.groups(), _FOLDS, self.seed)
        errors, variance = np.full_like(table.quality, np.nan), np.zeros_like(table.quality)
        for fold in np.unique(folds):
            held = folds == fold
            used = ~held if not held.all() else held
            forest = self._grown(min(self.trees, _FOLD_TREES))
            forest.fit(features[used], table.quality[used], guides[used])
            mean, variance[held] = forest.moments(features[held])
            errors[held] = table.quality[held] - mean
        self.doubt_ = Doubt().fit(self.views_.metric(features), errors, variance, folds)

    def _grown(self, trees: int) -> Forest:
        return Forest(
            trees=trees, min_leaf=self.min_leaf, max_features=self.max_features, seed=self.seed
        )

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return self.forest_.predict(features)

    def _estimate_both(self, features: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        mean, variance = self.forest_.moments(features)
        return mean, self.doubt_.std(variance)
