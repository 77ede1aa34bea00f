"""Confidence: the probability that an answer is right, given who gave it and who did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.plans.calibration import Calibration

if TYPE_CHECKING:
    from fusionfactory.plans.ballots import Ballots
    from fusionfactory.plans.competence import Outlook
    from fusionfactory.plans.state import State
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Confidence", "solve_logit"]

_STEEPEST = 30.0
_ITERATIONS = 150
_SMALLEST_SPREAD = 1e-6


class Confidence(Estimator):
    """Conditional logit over the answers that stand (McFadden, 1974), `none is right` among them.

    The utility of an answer is linear in who gave it, in what was expected of them on this query
    and on its topics, in how right their responses read, in how many they are and in the lengths
    of their responses; that of `none` is 0. Probabilities are calibrated on the leading answers,
    out of fold: see `Calibration`.

    Args:
        penalty: Of the squared coefficients of standardised features.
    """

    coef_: FloatArray
    calibration_: Calibration

    def __init__(self, *, penalty: float = 0.03) -> None:
        self.penalty = penalty

    def fit(self, state: State, quality: FloatArray, folds: IntArray) -> FloatArray:
        """Learns from answered queries, forgetting any earlier fit.

        Args:
            state: n queries, the arms of one stage asked.
            quality: (n, m) outcomes; NaN where missing.
            folds: (n,) fold of every query.

        Returns:
            (c,) out-of-fold probabilities of the answers, in the order of `state.ballots()`.
        """
        self.reset()
        ballots = state.ballots()
        features = _describe(state, ballots)
        if not len(ballots):
            self.coef_ = np.zeros(features.shape[1])
            self.calibration_ = Calibration().fit(np.zeros(0), np.zeros(0, bool))
            return np.zeros(0)
        right = ballots.supported(quality) > 0.5
        known = ballots.supported(np.where(np.isnan(quality), 0.0, 1.0)) > 0
        spread = features.std(axis=0)
        spread = np.where(spread > _SMALLEST_SPREAD, spread, 1.0)
        scaled = features / spread
        fold = folds[ballots.query]
        utility: FloatArray = np.zeros(len(ballots))
        start: FloatArray = np.zeros(features.shape[1])
        for held in np.unique(folds):
            out = fold == held
            used = (~out if not out.all() else out) & known
            start = solve_logit(scaled[used], ballots.query[used], right[used], start, self.penalty)
            utility[out] = scaled[out] @ start
        weights = solve_logit(
            scaled[known], ballots.query[known], right[known], start, self.penalty
        )
        self.coef_ = weights / spread
        raw = _shares(utility, ballots)
        ballot = ballots.leaders(raw).ballot
        ballot = ballot[(ballot >= 0) & known[ballot]]
        self.calibration_ = Calibration().fit(raw[ballot], right[ballot])
        return self.calibration_.predict(raw)

    def predict(self, state: State, ballots: Ballots) -> FloatArray:
        """(c,) probabilities that the answers are right.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        utility = _describe(state, ballots) @ self.coef_
        return self.calibration_.predict(_shares(utility, ballots))


def _describe(state: State, ballots: Ballots) -> FloatArray:
    """(c, d) features of the answers."""
    outlook: Outlook = state.outlook
    query, votes = ballots.query, ballots.votes
    odds, topics = outlook.log_odds[query], outlook.topics[query]
    answered = ballots.answered[query]
    count = votes.sum(axis=1)
    lengths = np.log1p(np.nan_to_num(state.lengths))[query]
    own = (lengths * votes).sum(axis=1) / count
    reading = state.reading[query] * votes
    others = (lengths * answered).sum(axis=1) / answered.sum(axis=1)
    single = np.stack(
        [
            np.ones(len(query)),
            np.log(count),
            count / answered.sum(axis=1),
            count == 1,
            (odds * votes).sum(axis=1),
            np.where(votes, odds, -np.inf).max(axis=1, initial=-_STEEPEST),
            np.where(answered, odds, 0.0).sum(axis=1) / answered.sum(axis=1),
            own - others,
            reading.sum(axis=1),
            np.where(votes, reading, -np.inf).max(axis=1, initial=-_STEEPEST),
            reading.sum(axis=1) / count,
            np.where(answered, state.reading[query], 0.0).sum(axis=1) / answered.sum(axis=1),
        ],
        axis=1,
    )
    width = votes.shape[1] * topics.shape[1]
    by_topic = (votes[:, :, None] * topics[:, None, :]).reshape(len(query), width)
    return np.hstack([votes, votes * odds, reading, single, topics, by_topic]).astype(np.float64)


def _shares(utility: FloatArray, ballots: Ballots) -> FloatArray:
    """(c,) softmax of the utilities of one query's answers, `none` at 0 among them."""
    odds = np.exp(np.clip(utility, -_STEEPEST, _STEEPEST))
    return np.asarray(odds / (1.0 + ballots.total(odds))[ballots.query])


def solve_logit(
    features: FloatArray, query: IntArray, right: BoolArray, start: FloatArray, penalty: float
) -> FloatArray:
    """(d,) coefficients of a conditional logit in which `none is right` has utility 0.

    Args:
        features: (c, d) of the answers.
        query: (c,) to which query each belongs.
        right: (c,) which are right.
        start: (d,) where the search begins.
        penalty: Of the squared coefficients.
    """
    from scipy.optimize import minimize

    _, query = np.unique(query, return_inverse=True)
    n = int(query.max(initial=-1)) + 1
    if not n:
        return start
    none = np.bincount(query, weights=right, minlength=n) == 0

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        odds = np.exp(np.clip(features @ weights, -_STEEPEST, _STEEPEST))
        total = 1.0 + np.bincount(query, weights=odds, minlength=n)
        good = np.bincount(query, weights=odds * right, minlength=n) + none
        slope = features.T @ (odds / total[query] - odds * right / good[query]) / n
        value = float((np.log(total) - np.log(good)).mean())
        ridge = 0.5 * penalty * float(weights @ weights)
        return value + ridge, slope + penalty * weights

    options = {"maxiter": _ITERATIONS, "ftol": 1e-7}
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x)
