"""How likely a query is of a task unlike all those of training, and what arms are worth then.

Chow's (1970) reject option with a class for what is new: the confidence of a topic classifier,
ranked among that of known queries as a conformal p-value, is compared with what it is on training
topics that the classifier has not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.routers.folds import fold_numbers

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Discriminant", "Novelty"]

_DIAGONAL = 0.1
_FOLDS = 3
_FEWEST_TOPICS = 3
_MOST_LEFT_OUT = 20
_BINS = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0])
_CAUTION = 0.5


class Discriminant(Estimator):
    """Linear discriminant analysis; the covariance is drawn a tenth towards its diagonal."""

    coef_: FloatArray
    intercept_: FloatArray

    def fit(self, rows: FloatArray, labels: IntArray) -> Discriminant:
        """Learns from (n, d) rows and their (n,) labels from 0, each of which occurs."""
        self.reset()
        count = np.bincount(labels)
        means = np.stack([rows[labels == label].mean(axis=0) for label in range(len(count))])
        rest = rows - means[labels]
        within = rest.T @ rest / len(rows)
        spread = np.diag(within)
        within = (1 - _DIAGONAL) * within + np.diag(
            _DIAGONAL * spread + 1e-6 * spread.mean() + 1e-9
        )
        self.coef_ = np.linalg.solve(within, means.T)
        self.intercept_ = np.log(count / len(rows)) - 0.5 * (means.T * self.coef_).sum(axis=0)
        return self

    def predict(self, rows: FloatArray) -> FloatArray:
        """(n, labels) odds that sum to 1."""
        logits = rows @ self.coef_ + self.intercept_
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))


class Novelty(Estimator):
    """Probability that a query's topic is new, and a cautious guess of the arms' quality there.

    A query of a known topic has any rank among those with equal confidence shares; one of a new
    topic has low ranks more often. How much more is measured by leaving out each training topic in
    turn, and never falls as the rank does. On a new topic, an arm is expected to differ from the
    best single arm as it does on the mean topic, less half a standard deviation between topics.
    With fewer than three topics, or a prior of 0, nothing is taken for new.

    Args:
        prior: Share of the queries to come that are expected to be of new topics.
        seed: Of the folds.
    """

    topics_: Discriminant
    ranks_: FloatArray
    ratio_: FloatArray
    quality_: FloatArray
    spread_: FloatArray

    def __init__(self, *, prior: float = 0.2, seed: int = 0) -> None:
        self.prior = prior
        self.seed = seed

    def fit(
        self, rows: FloatArray, labels: IntArray, groups: IntArray, quality: FloatArray
    ) -> Novelty:
        """Learns what known topics look like.

        Args:
            rows: (n, d) training queries.
            labels: (n,) topics.
            groups: (n,) numbers from 0 of near-duplicates.
            quality: (n, m) without missing cells.
        """
        self.reset()
        names, labels = np.unique(labels, return_inverse=True)
        folds = fold_numbers(groups, _FOLDS, self.seed)
        means = np.stack([quality[labels == topic].mean(axis=0) for topic in range(len(names))])
        best = int(quality.mean(axis=0).argmax())
        contrast = means - means[:, [best]]
        self.spread_ = contrast.std(axis=0)
        self.quality_ = means[:, best].mean() + contrast.mean(axis=0) - _CAUTION * self.spread_
        self.topics_, self.ranks_ = _known(rows, labels, folds)
        self.ratio_ = np.zeros(len(_BINS) - 1)
        if len(names) < _FEWEST_TOPICS or not rows.shape[1] or not self.prior:
            return self
        rng = np.random.default_rng(self.seed)
        shares = []
        for topic in rng.permutation(len(names))[:_MOST_LEFT_OUT]:
            kept = labels != topic
            other = np.unique(labels[kept], return_inverse=True)[1]
            topics, ranks = _known(rows[kept], other, folds[kept])
            values = _p_values(topics.predict(rows[~kept]), ranks)
            shares.append(np.histogram(values, _BINS)[0] / len(values))
        density = np.mean(shares, axis=0) / np.diff(_BINS)
        self.ratio_ = np.maximum.accumulate(density[::-1])[::-1]
        return self

    def predict(self, rows: FloatArray) -> FloatArray:
        """(n,) probability that the topic of each of (n, d) queries is new."""
        if not len(rows) or not self.ratio_.any():
            return np.zeros(len(rows))
        values = _p_values(self.topics_.predict(rows), self.ranks_)
        place = np.clip(np.searchsorted(_BINS, values, side="right") - 1, 0, len(self.ratio_) - 1)
        new = self.prior * self.ratio_[place]
        return np.asarray(new / (new + 1 - self.prior))


def _known(rows: FloatArray, labels: IntArray, folds: IntArray) -> tuple[Discriminant, FloatArray]:
    """A classifier of topics, and (topics, 101) quantiles of its confidence out of fold."""
    odds = np.zeros((len(rows), int(labels.max()) + 1))
    for fold in np.unique(folds):
        held = folds == fold
        used = ~held if not held.all() else held
        present, index = np.unique(labels[used], return_inverse=True)
        odds[np.ix_(held, present)] = Discriminant().fit(rows[used], index).predict(rows[held])
    guess, sure = odds.argmax(axis=1), odds.max(axis=1)
    steps = np.linspace(0, 1, 101)
    ranks = np.stack(
        [np.quantile(sure[own] if (own := guess == topic).any() else sure, steps)
         for topic in range(odds.shape[1])]
    )  # fmt: skip
    return Discriminant().fit(rows, labels), ranks


def _p_values(odds: FloatArray, ranks: FloatArray) -> FloatArray:
    """(n,) share of the known queries of the likeliest topic that are at most as sure of it."""
    guess, sure = odds.argmax(axis=1), odds.max(axis=1)
    below = (ranks[guess] < sure[:, None]).sum(axis=1)
    return np.asarray(np.clip(below / (ranks.shape[1] - 1), 0.0, 1.0))
