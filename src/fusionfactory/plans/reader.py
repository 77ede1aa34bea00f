"""The reader: how likely a response is right by what it says, before it is held against others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.answers.words import WORDS
from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from fusionfactory.answers import AnswerGroups
    from fusionfactory.plans.competence import Outlook
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Reader"]

_PENALTY = 33.0
_TEXT_SCALE = 3.0
_ITERATIONS = 60
_LEAST_SPREAD = 1e-3


class Reader(Estimator):
    """One logistic regression for all arms, on a response's words, its length and the outlook.

    An arm that reasons in circles, breaks off or hedges is less often right, which agreement alone
    does not tell: least where one arm was asked. Where log-probabilities were logged, it also reads
    how sure the arm was of its own words.

    Attributes:
        words_: (w,) weights of hashed words.
        odds_: Weight of the log-odds that the arm is right on the query.
        arms_: (m, 3) per arm of all in the training table: intercept, and weights of the
            standardised log-length and its square. Where log-probabilities were logged (m, 5):
            then those of the standardised one, 0 where unknown, and of its being known.
        length_: (m, 2) mean and spread of every arm's log-lengths.
        logprob_: (m, 3) likewise of its log-probabilities, and the share that is known.
    """

    words_: FloatArray
    odds_: float
    arms_: FloatArray
    length_: FloatArray
    logprob_: FloatArray

    def fit(
        self, outlook: Outlook, answers: AnswerGroups, quality: FloatArray, folds: IntArray
    ) -> FloatArray:
        """Learns from answered queries, forgetting any earlier fit.

        Args:
            outlook: Of n queries on m arms, out of fold.
            answers: Of the same.
            quality: (n, m) outcomes; NaN where missing.
            folds: (n,) fold of every query.

        Returns:
            (n, m) log-odds that each answer is right, out of fold; 0 where there is no answer.
        """
        self.reset()
        n, m = quality.shape
        said = answers.groups >= 0
        known = said & ~np.isnan(quality)
        self.length_ = _spread(np.log1p(np.where(known, answers.lengths, np.nan)))
        logprobs = np.where(known, answers.logprobs, np.nan)
        share = (~np.isnan(logprobs)).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        self.logprob_ = np.column_stack([_spread(logprobs), share])
        self.arms_ = np.zeros((m, 5 if share.any() else 3))
        columns = np.arange(m)
        right = np.nan_to_num(quality) > 0.5
        found = np.zeros((n, m))
        for fold in np.unique(folds):
            held = folds == fold
            used = ~held if not held.all() else held
            self._learn(outlook, answers, right, known & used[:, None])
            found[held] = self.predict(outlook.rows(held), answers.rows(held), columns)
        self._learn(outlook, answers, right, known)
        return found

    def _learn(
        self, outlook: Outlook, answers: AnswerGroups, right: BoolArray, used: BoolArray
    ) -> None:
        from scipy import sparse
        from scipy.optimize import minimize

        m, width = self.arms_.shape
        rows, arm = np.nonzero(used)
        odds, plain = self._plain(outlook, answers, np.arange(m))
        dense = np.zeros((len(rows), 1 + m * width))
        dense[:, 0] = odds[rows, arm]
        place = 1 + arm[:, None] * width + np.arange(width)
        np.put_along_axis(dense, place, plain[rows, arm], axis=1)
        words = answers.words[rows * m + arm]
        features = sparse.hstack([words * _TEXT_SCALE, sparse.csr_matrix(dense)], format="csr")
        sign = np.where(right[rows, arm], 1.0, -1.0)

        def loss(weights: FloatArray) -> tuple[float, FloatArray]:
            margin = sign * (features @ weights)
            value = float(np.logaddexp(0.0, -margin).sum())
            slope = features.T @ (-sign / (1.0 + np.exp(np.clip(margin, -50.0, 50.0))))
            ridge = 0.5 * _PENALTY * float(weights @ weights)
            return value + ridge, slope + _PENALTY * weights

        start = np.zeros(features.shape[1])
        start[WORDS] = 1.0
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
        self.words_, self.odds_ = found.x[:WORDS] * _TEXT_SCALE, float(found.x[WORDS])
        self.arms_ = found.x[WORDS + 1 :].reshape(m, width)

    def _plain(
        self, outlook: Outlook, answers: AnswerGroups, columns: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """(n, m) log-odds, and (n, m, 3 or 5) what the weights of `arms_` are of."""
        mean, spread = self.length_[columns].T
        length = (np.log1p(np.nan_to_num(answers.lengths)) - mean) / np.maximum(spread, 0.1)
        length = np.clip(length, -5.0, 5.0)
        plain = [np.ones_like(length), length, length**2]
        if self.arms_.shape[1] > len(plain):
            mean, spread, share = self.logprob_[columns].T
            sure = (answers.logprobs - mean) / np.maximum(spread, _LEAST_SPREAD)
            plain.append(np.nan_to_num(np.clip(sure, -5.0, 5.0)))
            # Less its mean, for of an arm that always tells it is no second intercept.
            plain.append(~np.isnan(sure) - share)
        return outlook.log_odds, np.stack(plain, axis=2)

    def predict(self, outlook: Outlook, answers: AnswerGroups, columns: IntArray) -> FloatArray:
        """(n, m) log-odds that each answer is right; 0 where there is no answer.

        Args:
            outlook: Of n queries on m arms.
            answers: Of the same.
            columns: (m,) columns of these arms in the training table.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        odds, plain = self._plain(outlook, answers, columns)
        text = (answers.words @ self.words_).reshape(odds.shape)
        whole = text + odds * self.odds_ + (plain * self.arms_[columns]).sum(axis=2)
        return np.where(answers.groups >= 0, whole, 0.0)


def _spread(values: FloatArray) -> FloatArray:
    """(m, 2) mean and spread of each column's known values; 0 where there is none."""
    values = np.where(np.isnan(values).all(axis=0), 0.0, values)
    return np.stack([np.nanmean(values, axis=0), np.nanstd(values, axis=0)], axis=1)
