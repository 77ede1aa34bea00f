"""Item response theory with query features: arms' abilities meet queries' demands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.routers.base import Router

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["FactorRouter"]


class FactorRouter(Router):
    """quality = sigmoid(demand . ability + easiness), demand linear in the embedding.

    Multidimensional IRT whose item parameters come from features, so that new queries have them
    too; equally, logistic matrix factorisation with side information. Fitted by L-BFGS on the
    observed cells, so missing cells need no filling.

    Args:
        encoder: See `Router`.
        seed: Of the initial values.
        rank: Dimensions of demand and ability.
        penalty: L2 penalty on the demand weights, relative to the number of observed cells.
        max_steps: L-BFGS iterations.
    """

    name = "factor"

    mean_: FloatArray
    scale_: float
    demand_: FloatArray
    ability_: FloatArray
    easiness_: FloatArray

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        rank: int = 8,
        penalty: float = 3e-4,
        max_steps: int = 150,
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.rank = rank
        self.penalty = penalty
        self.max_steps = max_steps

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        from scipy.optimize import minimize

        self.mean_ = features.mean(axis=0)
        self.scale_ = float(np.sqrt(((features - self.mean_) ** 2).sum(axis=1).mean())) or 1.0
        x = ((features - self.mean_) / self.scale_).astype(np.float64)
        seen = table.observed()
        y = np.nan_to_num(table.quality)
        d, m, r = x.shape[1], y.shape[1], min(self.rank, y.shape[1])
        rng = np.random.default_rng(self.seed)
        base = np.clip(table.arm_quality(), 0.01, 0.99)
        start = np.concatenate(
            [rng.normal(0, 0.1, d * r), rng.normal(0, 1.0, m * r), np.log(base / (1 - base))]
        )
        cells = float(seen.sum())

        def loss(theta: FloatArray) -> tuple[float, FloatArray]:
            demand, ability, easiness = _parts(theta, d, m, r)
            factors = x @ demand
            logits = factors @ ability.T + easiness
            probability = 1.0 / (1.0 + np.exp(-logits))
            error = np.where(seen, probability - y, 0.0) / cells
            value = np.where(seen, np.logaddexp(0.0, logits) - y * logits, 0.0).sum() / cells
            value += self.penalty * ((demand**2).sum() + (ability**2).sum())
            slope = [
                x.T @ (error @ ability) + 2 * self.penalty * demand,
                error.T @ factors + 2 * self.penalty * ability,
                error.sum(axis=0),
            ]
            return float(value), np.concatenate([part.ravel() for part in slope])

        found = minimize(
            loss, start, jac=True, method="L-BFGS-B", options={"maxiter": self.max_steps}
        )
        self.demand_, self.ability_, self.easiness_ = _parts(found.x, d, m, r)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        x = (features - self.mean_) / self.scale_
        logits = (x @ self.demand_) @ self.ability_.T + self.easiness_
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))


def _parts(theta: FloatArray, d: int, m: int, r: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    return (
        theta[: d * r].reshape(d, r),
        theta[d * r : (d + m) * r].reshape(m, r),
        theta[(d + m) * r :],
    )
