"""Ridge regression of quality on the embedding, one column per arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.routers.base import Router
from fusionfactory.routers.linear import solve_ridge

if TYPE_CHECKING:
    from fusionfactory.policy import Policy
    from fusionfactory.routers.stream import Stream
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["RidgeRouter"]


class RidgeRouter(Router):
    """Expected quality = features @ coefficients + intercept; penalty by leave-one-out error."""

    name = "ridge"
    fits_from = "statistics"

    coef_: FloatArray
    intercept_: FloatArray

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        self.coef_, self.intercept_ = solve_ridge(features, self._targets(table, policy))

    def _fit_stream(self, stream: Stream) -> None:
        self.coef_ = stream.footing.quality_coef
        self.intercept_ = stream.footing.quality_intercept

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return features @ self.coef_ + self.intercept_
