"""Competence: what a query's text says of every arm before any is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.encoders import Encoder, make_encoder
from fusionfactory.estimator import Estimator
from fusionfactory.missing import complete
from fusionfactory.routers.cost import CostModel
from fusionfactory.routers.forest import Forest
from fusionfactory.routers.linear import solve_ridge
from fusionfactory.routers.tasks import task_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Competence", "Outlook"]

_LEAST = 0.02
_TREES = 40


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """What is expected of m arms on n queries.

    Attributes:
        log_odds: (n, m) of being right.
        topics: (n, t) shares of the training tasks that the text is like.
        cost_usd: (n, m) expected USD; NaN where an arm's cost was never seen.
    """

    log_odds: FloatArray
    topics: FloatArray
    cost_usd: FloatArray

    def rows(self, index: IntArray | BoolArray) -> Outlook:
        """Of these queries."""
        return Outlook(self.log_odds[index], self.topics[index], self.cost_usd[index])

    def columns(self, index: IntArray) -> Outlook:
        """Of these arms, in this order."""
        return Outlook(self.log_odds[:, index], self.topics, self.cost_usd[:, index])


class Competence(Estimator):
    """Ridge regression and extra trees of quality on the text, averaged; ridge of the task.

    Args:
        encoder: An encoder's name, or an encoder; one that is fitted already is used as it is.
        folds: Of the cross-fitting.
        seed: Of the folds and the trees.
    """

    encoder_: Encoder
    coef_: FloatArray
    intercept_: FloatArray
    forest_: Forest
    cost_: CostModel
    arms_count_: int

    def __init__(self, *, encoder: str | Encoder = "text", folds: int = 5, seed: int = 0) -> None:
        self.encoder = encoder
        self.folds = folds
        self.seed = seed

    def fit(self, table: OutcomeTable, folds: IntArray) -> Outlook:
        """Learns from outcomes, forgetting any earlier fit.

        Args:
            table: n queries by m arms.
            folds: (n,) fold of every query, near-duplicates in one.

        Returns:
            The outlook of the training queries, out of fold.
        """
        self.reset()
        encoder = make_encoder(self.encoder)
        self.encoder_ = encoder if encoder.is_fitted else encoder.clone().fit(table.texts)
        features = self.encoder_.encode(table.texts)
        quality = complete(table.quality)
        labels = task_labels(table)
        topics = np.eye(int(labels.max()) + 1)[labels]
        self.arms_count_ = quality.shape[1]
        guess = np.zeros((len(table), quality.shape[1] + topics.shape[1]))
        cost_usd = np.full(quality.shape, np.nan)
        for fold in np.unique(folds):
            held = folds == fold
            used = ~held if not held.all() else held
            self._learn(features[used], quality[used], topics[used])
            guess[held] = self._guess(features[held])
            cost_usd[held] = (
                CostModel().fit(features[used], table.rows(used)).predict(features[held])
            )
        self._learn(features, quality, topics)
        self.cost_ = CostModel().fit(features, table)
        return self._outlook(guess, cost_usd)

    def _learn(self, features: FloatArray, quality: FloatArray, topics: FloatArray) -> None:
        self.coef_, self.intercept_ = solve_ridge(features, np.hstack([quality, topics]))
        forest = Forest(trees=_TREES, min_leaf=4, max_features=0.3, seed=self.seed)
        self.forest_ = forest.fit(features, quality, topics)

    def _guess(self, features: FloatArray) -> FloatArray:
        linear = features @ self.coef_ + self.intercept_
        linear[:, : self.arms_count_] += self.forest_.predict(features)
        linear[:, : self.arms_count_] /= 2
        return np.asarray(linear)

    def _outlook(self, guess: FloatArray, cost_usd: FloatArray) -> Outlook:
        quality = np.clip(guess[:, : self.arms_count_], _LEAST, 1 - _LEAST)
        topics = np.clip(guess[:, self.arms_count_ :], 0.0, 1.0)
        return Outlook(np.log(quality / (1 - quality)), topics, cost_usd)

    def predict(self, texts: Sequence[str]) -> Outlook:
        """The outlook of n new texts.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        features = self.encoder_.encode(texts)
        return self._outlook(self._guess(features), self.cost_.predict(features))
