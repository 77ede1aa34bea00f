"""Kinds of queries: a latent class model of their tasks and of which arms answer them well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Kinds"]

_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128)
_ROUNDS = 60
_PRIOR = 4.0
_HELD = 0.1
_LEAST = 1e-4


@dataclass(frozen=True, eq=False, slots=True)
class Kinds:
    """k kinds of queries on which m arms have an expected quality each.

    Fitted by expectation maximisation. An arm's quality on a kind is drawn to its overall mean by
    the weight of four queries, the mean of a beta prior. A score between 0 and 1 counts as that
    share of a right answer.

    Attributes:
        share: (k,) of the queries.
        quality: (k, m) expected quality.
        tasks: (k, t) shares of the tasks.
    """

    share: FloatArray
    quality: FloatArray
    tasks: FloatArray

    @classmethod
    def fitted(
        cls,
        quality: FloatArray,
        labels: IntArray,
        count: int,
        seed: int = 0,
        seen: BoolArray | None = None,
    ) -> Kinds:
        """Fits the model.

        Args:
            quality: (n, m) scores in [0, 1].
            labels: (n,) task of every query, from 0.
            count: Kinds.
            seed: Of the start.
            seen: (n, m) which scores to use; all by default.
        """
        seen = np.ones(quality.shape, dtype=np.bool_) if seen is None else seen
        right, wrong = np.where(seen, quality, 0.0), np.where(seen, 1.0 - quality, 0.0)
        tasks = np.eye(int(labels.max()) + 1)[labels]
        mean = (right.sum(axis=0) + 1.0) / (seen.sum(axis=0) + 2.0)
        rng = np.random.default_rng(seed)
        belongs: FloatArray = rng.dirichlet(np.full(count, 0.5), len(quality))
        for _ in range(_ROUNDS):
            good, bad = belongs.T @ right, belongs.T @ wrong
            expected = (good + _PRIOR * mean) / (good + bad + _PRIOR)
            size = belongs.sum(axis=0)
            spread = belongs.T @ tasks + _PRIOR * tasks.mean(axis=0)
            kinds = cls(
                (size + 1.0) / (len(quality) + count),
                np.clip(expected, _LEAST, 1.0 - _LEAST),
                spread / spread.sum(axis=1, keepdims=True),
            )
            belongs = kinds._belongs(right, wrong, labels)
        return kinds

    @classmethod
    def chosen(cls, quality: FloatArray, labels: IntArray, seed: int = 0) -> Kinds:
        """With the fewest kinds that predict scores held back as well as any number does.

        A tenth of the scores is held back. As well means within one standard error of the paired
        difference to the best number.
        """
        seen = np.random.default_rng([seed, len(quality)]).random(quality.shape) >= _HELD
        counts = [count for count in _COUNTS if count == 1 or 10 * count <= len(quality)]
        fits = [
            cls.fitted(quality, labels, count, seed, seen)._fit(quality, labels, seen)
            for count in counts
        ]
        best = fits[int(np.argmax([fit.sum() for fit in fits]))]
        for count, fit in zip(counts, fits, strict=True):
            lost = best - fit
            if lost.sum() <= lost.std() * np.sqrt(len(lost)):
                return cls.fitted(quality, labels, count, seed)
        return cls.fitted(quality, labels, 1, seed)

    def _belongs(self, right: FloatArray, wrong: FloatArray, labels: IntArray) -> FloatArray:
        """(n, k) probabilities of the kinds, given the weights of right and wrong answers."""
        logs = right @ np.log(self.quality).T + wrong @ np.log1p(-self.quality).T
        logs += np.log(self.share) + np.log(self.tasks.T[labels])
        odds = np.exp(logs - logs.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def _fit(self, quality: FloatArray, labels: IntArray, seen: BoolArray) -> FloatArray:
        """(h,) log-likelihood of the scores held back, given those seen."""
        right, wrong = np.where(seen, quality, 0.0), np.where(seen, 1.0 - quality, 0.0)
        expected = self._belongs(right, wrong, labels) @ self.quality
        logs = quality * np.log(expected) + (1.0 - quality) * np.log1p(-expected)
        return np.asarray(logs[~seen])

    def weights(self, quality: FloatArray, labels: IntArray) -> FloatArray:
        """(k,) mean probabilities of the kinds over queries with (n, m) scores."""
        return np.asarray(self._belongs(quality, 1.0 - quality, labels).mean(axis=0))

    def expected_best(self, weights: FloatArray) -> float:
        """Mean expected quality of the best arm of every kind, kinds weighted."""
        return float(weights @ self.quality.max(axis=1))

    def lucky_best(self, weights: FloatArray) -> float:
        """Mean best score where every arm's answer is right or wrong by chance on its own."""
        return float(weights @ (1.0 - np.prod(1.0 - self.quality, axis=1)))
