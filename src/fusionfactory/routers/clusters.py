"""Soft clusters of queries, each with the quality of every arm (Avengers-Pro, arXiv 2508.12631)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.routers.base import Router
from fusionfactory.routers.linear import unit_rows

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["ClusterRouter"]


class ClusterRouter(Router):
    """K-means on the unit embedding; a query mixes its nearest clusters' mean qualities.

    Args:
        encoder: See `Router`.
        seed: Of k-means.
        clusters: Number of clusters; fewer where there are fewer queries.
        nearest: Clusters that a query mixes.
        sharpness: How fast a cluster's weight falls with squared distance.
        prior: Observations by which a cluster's mean is drawn to the arm's overall mean.
    """

    name = "clusters"

    centers_: FloatArray
    quality_: FloatArray

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        clusters: int = 32,
        nearest: int = 4,
        sharpness: float = 10.0,
        prior: float = 5.0,
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.clusters = clusters
        self.nearest = nearest
        self.sharpness = sharpness
        self.prior = prior

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        from sklearn.cluster import KMeans

        unit = unit_rows(self.views_.metric(features))
        distinct = len(np.unique(unit, axis=0))
        model = KMeans(min(self.clusters, distinct), n_init=4, random_state=self.seed).fit(unit)
        self.centers_ = np.asarray(model.cluster_centers_, dtype=np.float32)
        member = np.eye(len(self.centers_))[model.labels_]
        count = member.T @ table.observed()
        total = member.T @ np.nan_to_num(table.quality)
        self.quality_ = (total + self.prior * table.arm_quality()) / (count + self.prior)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        near = unit_rows(self.views_.metric(features)) @ self.centers_.T
        distance = (self.centers_**2).sum(axis=1) - 2.0 * near
        cut = np.partition(distance, min(self.nearest, len(self.centers_)) - 1, axis=1)
        cut = cut[:, min(self.nearest, len(self.centers_)) - 1, None]
        logits = np.where(distance <= cut, -self.sharpness * distance, -np.inf)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray((weights / weights.sum(axis=1, keepdims=True)) @ self.quality_)
