"""Stopping: what going on to the next stage gains, learned backwards for many prices at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.routers.forest import Forest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Stopping"]

_TREES = 60
_LEAF = 25


class Stopping(Estimator):
    """Optimal stopping by regression from the last stage to the first (Longstaff & Schwartz, 2001).

    At every stage but the last, a forest estimates what going on gains: the quality that later
    stages reach by their own rules, less that of stopping here, less the price of their calls. One
    forest has an output for every price of quality. On the training queries every rule decides out
    of fold, so that earlier stages learn from what later ones will really do.

    Args:
        seed: Of the trees.
    """

    forests_: list[Forest]
    price_: FloatArray

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(
        self,
        features: Sequence[FloatArray],
        quality: FloatArray,
        cost_usd: FloatArray,
        price: FloatArray,
        folds: IntArray,
    ) -> IntArray:
        """Learns the rules, forgetting any earlier fit.

        Args:
            features: Of every stage but the last, (n, d) of what is known there.
            quality: (k, n) of the answer that stands at every stage.
            cost_usd: (k, n) of the calls that every stage makes.
            price: (p,) quality that a USD must buy, rising.
            folds: (n,).

        Returns:
            (p, n) the stage at which every training query stops, out of fold.
        """
        self.reset()
        stages, n = quality.shape
        self.price_ = price
        self.forests_ = []
        value = np.repeat(quality[-1][:, None], len(price), axis=1)
        stop = np.full((n, len(price)), stages - 1)
        for stage in range(stages - 2, -1, -1):
            onward = value - cost_usd[stage + 1][:, None] * price
            gain = onward - quality[stage][:, None]
            guess = np.zeros_like(gain)
            for fold in np.unique(folds):
                held = folds == fold
                used = ~held if not held.all() else held
                guess[held] = self._grow(features[stage][used], gain[used]).predict(
                    features[stage][held]
                )
            self.forests_.insert(0, self._grow(features[stage], gain))
            go = guess > 0
            value = np.where(go, onward, quality[stage][:, None])
            stop = np.where(go, stop, stage)
        return np.asarray(stop.T)

    def _grow(self, features: FloatArray, gain: FloatArray) -> Forest:
        leaf = min(_LEAF, max(len(features) // 20, 1))
        forest = Forest(trees=_TREES, min_leaf=leaf, max_features=0.7, seed=self.seed)
        return forest.fit(features, gain)

    def goes_on(self, stage: int, features: FloatArray, step: int) -> BoolArray:
        """(n,) whether to ask the next stage.

        Args:
            stage: Where the queries stand.
            features: (n, d).
            step: Which of the prices.
        """
        return np.asarray(self.forests_[stage].predict(features)[:, step] > 0)
