"""Pairwise ranking of the arms: which of two answers better, where some price makes it matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.missing import adjusted_means
from fusionfactory.routers.base import Router
from fusionfactory.routers.folds import fold_numbers
from fusionfactory.routers.frontier import shortfall
from fusionfactory.routers.linear import solve_ridge

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["PairRanking", "PairsRouter"]

_FOLDS = 3


class PairRanking(Estimator):
    """Scores whose differences are the log-odds that one arm is better (Bradley and Terry, 1952).

    Scores are linear in the features. A pair weighs by how far its two qualities are apart, so that
    ties teach nothing, and by both arms' weights. Fitted by L-BFGS.

    Args:
        penalty: L2 penalty on the coefficients, relative to the total weight of the pairs.
        max_steps: L-BFGS iterations.
    """

    mean_: FloatArray
    spread_: float
    coef_: FloatArray
    intercept_: FloatArray

    def __init__(self, *, penalty: float = 1e-3, max_steps: int = 80) -> None:
        self.penalty = penalty
        self.max_steps = max_steps

    def fit(self, features: FloatArray, quality: FloatArray, weights: FloatArray) -> PairRanking:
        """Learns from (n, d) features, (n, m) qualities, NaN where missing, and (m,) weights."""
        from scipy.optimize import minimize

        self.reset()
        self.mean_ = features.mean(axis=0)
        self.spread_ = float(np.sqrt(((features - self.mean_) ** 2).sum(axis=1).mean())) or 1.0
        rows = self._scaled(features)
        apart = np.nan_to_num(quality[:, :, None] - quality[:, None, :])
        weight = np.abs(apart) * weights[:, None] * weights
        weight /= max(float(weight.sum()), 1e-12)
        better = (apart > 0).astype(np.float64)
        shape = (rows.shape[1] + 1, quality.shape[1])
        rows = np.hstack([rows, np.ones((len(rows), 1))])

        def loss(flat: FloatArray) -> tuple[float, FloatArray]:
            coef = flat.reshape(shape)
            score = rows @ coef
            gap = score[:, :, None] - score[:, None, :]
            value = float((weight * (np.logaddexp(0.0, gap) - better * gap)).sum())
            error = weight * (1.0 / (1.0 + np.exp(-gap)) - better)
            slope = rows.T @ (error.sum(axis=2) - error.sum(axis=1))
            slope[:-1] += 2 * self.penalty * coef[:-1]
            return value + self.penalty * float((coef[:-1] ** 2).sum()), slope.ravel()

        found = minimize(
            loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B",
            options={"maxiter": self.max_steps},
        )  # fmt: skip
        self.coef_, self.intercept_ = found.x.reshape(shape)[:-1], found.x.reshape(shape)[-1]
        return self

    def _scaled(self, features: FloatArray) -> FloatArray:
        return np.asarray((features - self.mean_) / self.spread_, dtype=np.float64)

    def predict(self, features: FloatArray) -> FloatArray:
        """(n, m) scores; only their differences within a row mean anything."""
        score = self._scaled(features) @ self.coef_ + self.intercept_
        return np.asarray(score - score.mean(axis=1, keepdims=True))


class PairsRouter(Router):
    """Cost-aware pairwise ranking: a pair counts where some price makes both its arms contenders.

    An arm's weight falls with the quality it lacks, at the price that suits it best, to be the
    choice; so cheap arms that no other beats for the money weigh as much as the best one, and arms
    that are dearer and worse than others hardly at all. The differences of the scores are brought
    to quality by the slope that fits best out of fold; the level of a query is a ridge regression.

    Args:
        encoder: See `Router`.
        seed: Of the folds.
        focus: How sharply an arm's weight falls with the quality that it lacks.
        penalty: See `PairRanking`.
    """

    name = "pairs"

    ranking_: PairRanking
    slope_: float
    level_coef_: FloatArray
    level_intercept_: FloatArray

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        focus: float = 0.1,
        penalty: float = 1e-3,
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.focus = focus
        self.penalty = penalty

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        linear, quality = self.views_.linear(features), table.quality
        lacking = shortfall(adjusted_means(quality), table.arm_cost_usd())
        weights = np.exp(-lacking / self.focus)
        folds = fold_numbers(table.groups(), _FOLDS, self.seed)
        scores = np.zeros(quality.shape)
        for fold in np.unique(folds):
            held = folds == fold
            used = ~held if not held.all() else held
            ranking = PairRanking(penalty=self.penalty).fit(linear[used], quality[used], weights)
            scores[held] = ranking.predict(linear[held])
        seen = ~np.isnan(quality)
        count = seen.sum(axis=1)
        level = np.full(len(quality), np.nan)
        np.divide(np.where(seen, quality, 0.0).sum(axis=1), count, out=level, where=count > 0)
        rest = np.where(seen, quality - level[:, None], 0.0)
        self.slope_ = max(float((rest * scores).sum()) / max(float((scores**2).sum()), 1e-12), 0.0)
        self.level_coef_, self.level_intercept_ = solve_ridge(linear, level[:, None])
        self.ranking_ = PairRanking(penalty=self.penalty).fit(linear, quality, weights)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        linear = self.views_.linear(features)
        level = linear @ self.level_coef_ + self.level_intercept_
        return np.asarray(level + self.slope_ * self.ranking_.predict(linear))
