"""A router whose decisions stay as they are when a question is dressed otherwise or added to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import polars as pl

from fusionfactory.errors import ConfigError, UnsupportedError
from fusionfactory.missing import complete
from fusionfactory.routers import make_router
from fusionfactory.routers.base import Queries, Router
from fusionfactory.routers.novelty import Novelty
from fusionfactory.routers.purifier import Purifier
from fusionfactory.routers.tasks import task_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Estimates, FloatArray

__all__ = ["SteadyRouter"]

_SHARED = "text"


class SteadyRouter(Router):
    """Any router, fitted on purified questions and asked about them.

    Case, blanks, quotation marks and characters that nobody sees do not count, and what was put
    before or after a question is left out: see `Purifier`. Arms answer the texts as they came.

    Where `new` is above 0, the estimates of a query are drawn to a cautious guess under which the
    best single arm answers, the more the less it is like those of training: see `Novelty`. It
    loses less on tasks that are new, and on `fusionbench9` half a point on known ones at .1.

    Args:
        encoder: Of the router; see `Router`.
        seed: Of the router and the purifier.
        base: Specification of the router, as for `make_router`, with `;` between its parameters:
            `steady:base=knn:k=20;encoder=minilm`.
        words: That may be left out at one end of a question.
        changed: Share of the training queries that may be shortened.
        new: Share of the queries to come that are expected to be of tasks unlike those of training.
            0 trusts the base everywhere.
    """

    name = "steady"
    uses_features: ClassVar[bool] = False

    base_: Router
    purifier_: Purifier
    novelty_: Novelty
    shared_: bool

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        seed: int = 0,
        base: str = "stack",
        words: int = 16,
        changed: float = 0.03,
        new: float = 0.0,
    ) -> None:
        super().__init__(encoder=encoder, seed=seed)
        self.base = base
        self.words = words
        self.changed = changed
        self.new = new

    def _fit(self, features: FloatArray, table: OutcomeTable, policy: Policy | None) -> None:
        for field, value in (("changed", self.changed), ("new", self.new)):
            if not 0 <= value < 1:
                msg = f"must be at least 0 and below 1, got {value}"
                raise ConfigError(msg, field=field)
        self.purifier_ = Purifier(words=self.words, changed=self.changed, seed=self.seed)
        texts = self.purifier_.fit(table.texts, table.groups())
        spec = self.base.replace(";", ",")
        self.base_ = make_router(spec, encoder=self.encoder, seed=self.seed)
        if self.base_.policy_bound:
            msg = f"{self.base!r} learns the labels of one policy: give `steady` another base"
            raise UnsupportedError(msg)
        plain = table.queries.with_columns(pl.Series("query", texts, dtype=pl.String))
        self.shared_ = self.base_.uses_features and self.base_.encoder == _SHARED
        if self.shared_:
            self.base_.encoder = self.purifier_.encoder_
        self.base_.fit(replace(table, queries=plain), policy)
        if self.shared_:
            self.base_.encoder = _SHARED
        self.cost_ = self.base_.cost_
        rows = self.base_.encode(texts)
        if rows.dtype == np.object_:
            rows = np.zeros((len(texts), 0))
        self.novelty_ = Novelty(prior=self.new, seed=self.seed).fit(
            rows, task_labels(table), table.groups(), complete(table.quality)
        )

    def calibrate(self, table: OutcomeTable, queries: Queries | None = None) -> Self:
        """As `Router.calibrate`; rows without columns stand for the table's texts."""
        given = isinstance(queries, np.ndarray) and not queries.shape[-1]
        return super().calibrate(table, None if given else queries)

    def encode(self, queries: Queries) -> FloatArray:
        """(n, d) the base's features of the purified queries; an array is returned as it is."""
        self.check_fitted()
        if isinstance(queries, np.ndarray):
            return queries
        if isinstance(queries, str):
            return super().encode(queries)
        texts, rows = self.purifier_.purify(queries)
        return rows if self.shared_ else self.base_.encode(texts)

    def estimate(self, queries: Queries) -> Estimates:
        """The base's estimates of the purified queries, drawn to the guess about new tasks.

        Raises:
            NotFittedError: Before `fit`.
        """
        rows = self.encode(queries)
        estimates = self.base_.estimate(rows)
        if not self.novelty_.ratio_.any():
            return estimates
        new = self.novelty_.predict(rows)[:, None]
        quality = (1 - new) * estimates.quality + new * self.novelty_.quality_
        std = estimates.quality_std
        if std is not None:
            std = np.hypot((1 - new) * std, new * self.novelty_.spread_)
        return replace(estimates, quality=quality, quality_std=std)

    def _estimate_quality(self, features: FloatArray) -> FloatArray:
        return self.estimate(features).quality

    def head_start(self, policy: Policy) -> FloatArray | None:
        """(m,) that of the base."""
        return self.base_.head_start(policy)

    def set_prices(self, prices: Mapping[str, tuple[float, float]]) -> Self:
        """As `Router.set_prices`."""
        self.check_fitted()
        self.base_.set_prices(prices)
        self.arms_, self.cost_ = self.base_.arms_, self.base_.cost_
        return self._refresh_frontier()
