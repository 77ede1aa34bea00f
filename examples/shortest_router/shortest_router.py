"""A router as a plugin: which arms are good at questions of which length.

pip install ./examples/shortest_router
fusionfactory evaluate log.parquet --router stack,shortest:buckets=3
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.routers import Queries, Router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory import OutcomeTable, Policy
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["ShortestRouter"]


class ShortestRouter(Router):
    """Mean quality per arm among the past questions of about the same length.

    Args:
        buckets: Lengths are cut into so many equal shares.
        seed: Unused; for the contract.
    """

    name = "shortest"
    uses_features = False  # No text encoder: the length is all it reads.

    edges_: FloatArray
    quality_: FloatArray

    def __init__(self, *, buckets: int = 4, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self.buckets = buckets

    def encode(self, queries: Queries) -> FloatArray:
        """(n, 1) logarithms of the lengths in characters."""
        super().encode(queries)  # Raises where the router is not fitted, or given one bare text.
        return queries if isinstance(queries, np.ndarray) else _lengths(queries)

    def _fit_encoder(self, table: OutcomeTable) -> FloatArray:
        return _lengths(table.texts)

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        shares = np.linspace(0, 1, self.buckets + 1)[1:-1]
        self.edges_ = np.quantile(features[:, 0], shares)
        member = np.eye(self.buckets)[self._bucket(features)]
        # One made-up question of average quality per bucket, for buckets with few outcomes.
        total = member.T @ np.nan_to_num(table.quality) + table.arm_quality()
        self.quality_ = total / (member.T @ table.observed() + 1)

    def _bucket(self, features: FloatArray) -> IntArray:
        return np.searchsorted(self.edges_, features[:, 0])

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return np.asarray(self.quality_[self._bucket(features)])


def _lengths(texts: Sequence[str]) -> FloatArray:
    return np.log1p(np.array([len(text) for text in texts], dtype=np.float64))[:, None]
