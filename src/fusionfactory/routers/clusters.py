"""Soft clusters of queries, each with the quality of every arm (Avengers-Pro, arXiv 2508.12631)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.routers.base import Router
from fusionfactory.routers.linear import unit_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.routers.stream import Block, Stream
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
    fits_from = "statistics"

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
        self._place(features)
        self._take([(table, features)], table.arm_quality())

    def _fit_stream(self, stream: Stream) -> None:
        """The centers are those of the sample, the clusters' means those of everything."""
        self._place(stream.sample_features)
        self._take(stream.blocks(), stream.sums.arm_quality())

    def _place(self, features: FloatArray) -> None:
        from sklearn.cluster import KMeans

        unit = unit_rows(self.views_.metric(features))
        distinct = len(np.unique(unit, axis=0))
        model = KMeans(min(self.clusters, distinct), n_init=4, random_state=self.seed).fit(unit)
        self.centers_ = np.asarray(model.cluster_centers_, dtype=np.float32)

    def _take(self, blocks: Iterable[Block], means: FloatArray) -> None:
        """Learns the clusters' mean qualities, drawn to the arms' means."""
        total, count = np.zeros((2, len(self.centers_), len(means)))
        for table, features in blocks:
            member = np.eye(len(self.centers_))[self._distances(features).argmin(axis=1)]
            count += member.T @ table.observed()
            total += member.T @ np.nan_to_num(table.quality)
        self.quality_ = (total + self.prior * means) / (count + self.prior)

    def _distances(self, features: FloatArray) -> FloatArray:
        """(n, c) squared distances to the centers, less the query's own length."""
        near = unit_rows(self.views_.metric(features)) @ self.centers_.T
        return np.asarray((self.centers_**2).sum(axis=1) - 2.0 * near)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        distance = self._distances(features)
        cut = np.partition(distance, min(self.nearest, len(self.centers_)) - 1, axis=1)
        cut = cut[:, min(self.nearest, len(self.centers_)) - 1, None]
        logits = np.where(distance <= cut, -self.sharpness * distance, -np.inf)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray((weights / weights.sum(axis=1, keepdims=True)) @ self.quality_)
