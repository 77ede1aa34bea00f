"""One linear support vector regression per arm."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.routers.base import Recipe, Router

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["SVMRouter"]

_MAX_ITERATIONS = 1000


class SVMRouter(Router):
    """Linear SVR per arm on the embedding (arXiv 2507.10540, RouterSVM).

    `mended` regresses on quality with the squared epsilon-insensitive loss, whose estimate is the
    mean; `paper` on the policy's reward with the epsilon-insensitive loss, whose estimate is the
    median, which for scores of mostly 0 and 1 is far from the mean.

    Args:
        encoder: See `Router`.
        seed: Of the solver.
        c: Inverse regularisation.
        recipe: `mended` or `paper`.
    """

    name = "svm"

    coef_: FloatArray
    intercept_: FloatArray

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        c: float = 1.0,
        recipe: Recipe = "mended",
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.c = c
        self.recipe = recipe

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVR

        targets = self._targets(table, policy)
        scale = np.sqrt(float((features.astype(np.float64) ** 2).sum(axis=1).mean())) or 1.0
        loss = "epsilon_insensitive" if self.policy_bound else "squared_epsilon_insensitive"
        self.coef_ = np.zeros((features.shape[1], len(self.arms_)))
        self.intercept_ = np.zeros(len(self.arms_))
        for arm in range(len(self.arms_)):
            seen = ~np.isnan(targets[:, arm])
            model = LinearSVR(
                C=self.c, loss=loss, dual="auto", random_state=self.seed, max_iter=_MAX_ITERATIONS
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(features[seen] / scale, targets[seen, arm])
            self.coef_[:, arm] = model.coef_ / scale
            self.intercept_[arm] = float(np.ravel(model.intercept_)[0])

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return features @ self.coef_ + self.intercept_
