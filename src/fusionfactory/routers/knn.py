"""K nearest neighbours: what the most similar past queries say of every arm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.errors import ConfigError, TableError, UnsupportedError
from fusionfactory.routers.base import Recipe, Router
from fusionfactory.routers.linear import unit_rows

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, FloatArray

__all__ = ["KNNRouter"]

_PRIOR_NEIGHBOURS = 2.0
_CHUNK = 512
_SAME = 1e-5
_PRIOR_CELLS = 5.0


class KNNRouter(Router):
    """Mean quality of the k most similar training queries by cosine.

    `mended`: neighbours weigh by their similarity, missing cells count for nothing, and the mean is
    drawn towards the arm's overall mean by the weight of two neighbours. `paper` (arXiv 2507.10540,
    k = 50): the share of neighbours whose best candidate under the policy the arm was, the first
    column winning ties.

    Args:
        encoder: See `Router`.
        seed: Unused; for the contract.
        k: Neighbours.
        recipe: `mended` or `paper`.
    """

    name = "knn"

    bank_: FloatArray
    values_: FloatArray
    prior_: FloatArray

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        k: int = 50,
        recipe: Recipe = "mended",
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.k = k
        self.recipe = recipe

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        if self.k < 1:
            msg = f"must be at least 1, got {self.k}"
            raise ConfigError(msg, field="k")
        self.bank_ = unit_rows(self.views_.metric(features))
        self.prior_ = table.arm_quality()
        self.values_ = self._targets(table, policy).astype(np.float32)
        if self.policy_bound:
            best = np.nan_to_num(self.values_, nan=-np.inf).argmax(axis=1)
            self.values_ = np.eye(len(self.arms_), dtype=np.float32)[best]

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        queries = unit_rows(self.views_.metric(features))
        parts = [self._chunk(queries[i : i + _CHUNK]) for i in range(0, len(queries), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.arms_)))

    def _chunk(self, queries: FloatArray) -> FloatArray:
        similarity = queries @ self.bank_.T
        k = min(self.k, len(self.bank_))
        near = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        values = self.values_[near]
        if self.policy_bound:
            return np.asarray(values.mean(axis=1))
        close = np.clip(np.take_along_axis(similarity, near, axis=1), 0.0, None)
        weights = close[:, :, None] * ~np.isnan(values)
        total = np.einsum("nkm,nkm->nm", weights, np.nan_to_num(values))
        scale = weights.sum(axis=1)
        prior = _PRIOR_NEIGHBOURS * np.maximum(close.mean(axis=1, keepdims=True), 1e-6)
        return np.asarray((total + prior * self.prior_) / (scale + prior))

    def add_arm(self, arm: Arm, outcomes: OutcomeTable | None = None) -> Self:
        """Adds an arm from its outcomes on some queries, old or new.

        Raises:
            TableError: No outcomes are given, none of the arm is scored, or the arm is known.
            UnsupportedError: The paper's recipe counts wins among all arms.
        """
        if self.policy_bound:
            msg = "the paper's recipe counts wins among all arms: fit again to add one"
            raise UnsupportedError(msg)
        if arm.name in {known.name for known in self.arms_}:
            msg = f"the router already knows {arm.name!r}"
            raise TableError(msg, field="arms")
        if outcomes is None:
            msg = f"knn needs outcomes of {arm.name!r}"
            raise TableError(msg, field="arms")
        column = outcomes.select_arms([arm.name])
        scored = column.observed()[:, 0]
        if not scored.any():
            msg = f"no outcome of {arm.name!r} is scored"
            raise TableError(msg, field="performance")
        column = column.rows(scored)
        features = self.encode(column.texts)
        rivals = self._estimate_quality(features).mean(axis=1)
        cells = len(column)
        advantage = float((column.quality[:, 0] - rivals).mean()) * cells / (cells + _PRIOR_CELLS)
        unit = unit_rows(self.views_.metric(features))
        self.values_ = np.pad(self.values_, ((0, 0), (0, 1)), constant_values=np.nan)
        similarity = unit @ self.bank_.T
        same, known = similarity.argmax(axis=1), similarity.max(axis=1) > 1.0 - _SAME
        self.values_[same[known], -1] = column.quality[known, 0]
        fresh = np.full((int((~known).sum()), self.values_.shape[1]), np.nan, dtype=np.float32)
        fresh[:, -1] = column.quality[~known, 0]
        self.bank_ = np.concatenate([self.bank_, unit[~known]])
        self.values_ = np.concatenate([self.values_, fresh])
        self.prior_ = np.append(self.prior_, self.prior_.mean() + advantage)
        self.arms_ = (*self.arms_, arm)
        self.cost_.add_arm(features, column)
        return self._refresh_frontier()
