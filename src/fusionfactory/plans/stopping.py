"""Stopping: which stage to ask next, or none, learned backwards for many prices at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.routers.forest import Forest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["STOP", "Stopping", "left"]

STOP = -1

_TREES = 40
_LEAF = 25


def left(mask: int, stages: int) -> list[int]:
    """The stages that are not in a mask, whose bit k says that stage k was asked."""
    return [stage for stage in range(stages) if not mask >> stage & 1]


class Stopping(Estimator):
    """Optimal stopping by regression backwards (Longstaff & Schwartz, 2001), with a choice of ways.

    For every set of stages that may have been asked, a forest estimates what each further stage
    gains: the quality that is reached from there by the later rules, less that of stopping now,
    less the price of all calls. It has an output for every further stage and price of quality. On
    the training queries every rule decides out of fold, so that others learn from what it will
    really do. Before anything was asked there is no stopping.

    Args:
        seed: Of the trees.
    """

    forests_: list[Forest | None]
    stages_count_: int

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(
        self,
        features: Sequence[FloatArray],
        quality: FloatArray,
        cost_usd: FloatArray,
        price: FloatArray,
        folds: IntArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Learns the rules, forgetting any earlier fit.

        Args:
            features: Of every mask of stages but the whole, (n, d) of what is known then.
            quality: (2**k, n) of the answer that stands at every mask; 0 where none was asked.
            cost_usd: (k, n) of the calls that every stage makes.
            price: (p,) quality that a USD must buy.
            folds: (n,).

        Returns:
            (p, n) quality that is reached and (p, n) USD that are spent, out of fold.
        """
        self.reset()
        self.stages_count_ = len(cost_usd)
        whole = len(quality) - 1
        self.forests_ = [None] * len(quality)
        reached = [np.repeat(row[:, None], len(price), axis=1) for row in quality]
        spent = [np.zeros_like(value) for value in reached]
        for mask in range(whole - 1, -1, -1):
            ways = left(mask, self.stages_count_)
            good = np.stack([reached[mask | 1 << way] for way in ways], axis=1)
            paid = np.stack(
                [spent[mask | 1 << way] + cost_usd[way][:, None] for way in ways], axis=1
            )
            gain = (good - paid * price - quality[mask][:, None, None]).reshape(len(good), -1)
            self.forests_[mask], guess = self._cross_fit(features[mask], gain, folds)
            guess = guess.reshape(good.shape)
            best = guess.argmax(axis=1)[:, None]
            go = (guess.max(axis=1) > 0) | (mask == 0)
            chosen = [np.take_along_axis(values, best, axis=1)[:, 0] for values in (good, paid)]
            reached[mask] = np.where(go, chosen[0], reached[mask])
            spent[mask] = np.where(go, chosen[1], 0.0)
        return reached[0].T, spent[0].T

    def _cross_fit(
        self, features: FloatArray, gain: FloatArray, folds: IntArray
    ) -> tuple[Forest, FloatArray]:
        guess = np.zeros_like(gain)
        for fold in np.unique(folds):
            held = folds == fold
            used = ~held if not held.all() else held
            guess[held] = self._grow(features[used], gain[used]).predict(features[held])
        return self._grow(features, gain), guess

    def _grow(self, features: FloatArray, gain: FloatArray) -> Forest:
        leaf = min(_LEAF, max(len(features) // 20, 1))
        forest = Forest(trees=_TREES, min_leaf=leaf, max_features=0.7, seed=self.seed)
        return forest.fit(features, gain)

    def next_stage(
        self, mask: int, features: FloatArray, step: int, affordable: BoolArray
    ) -> IntArray:
        """(n,) which stage to ask next; `STOP` for none.

        Args:
            mask: The stages asked so far.
            features: (n, d).
            step: Which of the prices.
            affordable: (n, k) whether a stage is within the ceiling on a query's cost. Where no
                first stage is, the rule counts alone.
        """
        forest = self.forests_[mask]
        if forest is None:
            return np.full(len(features), STOP)
        ways = np.array(left(mask, self.stages_count_))
        gain = forest.predict(features).reshape(len(features), len(ways), -1)[:, :, step]
        allowed = affordable[:, ways]
        if mask == 0:
            allowed = allowed | ~allowed.any(axis=1, keepdims=True)
        gain = np.where(allowed, gain, -np.inf)
        go = gain.max(axis=1) > (-np.inf if mask == 0 else 0.0)
        return np.where(go, ways[gain.argmax(axis=1)], STOP)
