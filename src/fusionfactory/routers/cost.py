"""Expected cost of every arm on a query: expected tokens times today's prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import UnsupportedError
from fusionfactory.estimator import Estimator
from fusionfactory.pricing import PER_MILLION, cost_usd
from fusionfactory.routers.linear import solve_ridge

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray

__all__ = ["CostModel"]

_LEAST = 1e-15


class CostModel(Estimator):
    """Log-linear regression of tokens, or of cost where tokens or prices are unknown.

    Tokens are predicted and multiplied by the prices at hand, so that a changed price needs no
    refit. Log-predictions are unbiased again by a smearing factor per column (Duan, 1983) and
    clipped to the range seen in training.
    """

    prices_: FloatArray
    by_tokens_: BoolArray
    floor_: FloatArray
    ceiling_: FloatArray
    known_: BoolArray
    smear_: FloatArray
    coef_: FloatArray
    intercept_: FloatArray

    def fit(self, features: FloatArray, table: OutcomeTable) -> CostModel:
        """Fits one regression for all arms.

        Args:
            features: (n, d) encoded queries; d may be 0, then every prediction is the arm's mean.
            table: The n queries' outcomes. An arm without any known cost stays unknown.
        """
        self.reset()
        tokens = np.stack([table.input_tokens, table.output_tokens], axis=2)
        counted = ~np.isnan(tokens).any(axis=2)
        self.prices_ = table.prices
        self.by_tokens_ = ~np.isnan(self.prices_).any(axis=1) & counted.any(axis=0)
        self.by_tokens_ &= (counted == ~np.isnan(table.cost_usd)).all(axis=0)
        amounts = np.where(self.by_tokens_[:, None], tokens * PER_MILLION, np.nan)
        amounts[:, ~self.by_tokens_, 0] = table.cost_usd[:, ~self.by_tokens_]
        amounts = amounts.reshape(len(table), -1)
        self.floor_ = np.fmax(np.fmin.reduce(amounts, axis=0, initial=np.inf), _LEAST)
        self.ceiling_ = np.fmax.reduce(amounts, axis=0, initial=-np.inf)
        self.known_ = np.isfinite(self.ceiling_)
        self._learn(features, np.log(np.maximum(amounts, _LEAST)))
        self.smear_ = np.ones(amounts.shape[1])
        guess = np.where(np.isnan(amounts), np.nan, self._raw(features))
        known = self.known_
        self.smear_[known] = np.nanmean(amounts[:, known], axis=0)
        self.smear_[known] /= np.maximum(np.nanmean(guess[:, known], axis=0), _LEAST)
        self.smear_ *= np.repeat(self._discounts(table, tokens), 2)
        return self

    def _discounts(self, table: OutcomeTable, tokens: FloatArray) -> FloatArray:
        """(m,) measured cost / (tokens x price), for discounts and surcharges; 1 without tokens."""
        listed = cost_usd(tokens[:, :, 0], tokens[:, :, 1], table.prices)
        both = ~np.isnan(listed) & ~np.isnan(table.cost_usd)
        total = np.where(both, listed, 0.0).sum(axis=0)
        paid = np.where(both, table.cost_usd, 0.0).sum(axis=0)
        usable = self.by_tokens_ & (total > 0)
        return np.asarray(np.divide(paid, total, out=np.ones_like(paid), where=usable))

    @property
    def is_empty(self) -> bool:
        """Whether no arm's cost was ever seen."""
        return not bool(self.known_.any())

    def add_arm(self, features: FloatArray, table: OutcomeTable) -> None:
        """Appends the arms of another table, fitted on its queries."""
        other = CostModel().fit(features, table)
        for name in (
            "prices_",
            "by_tokens_",
            "floor_",
            "ceiling_",
            "known_",
            "intercept_",
            "smear_",
        ):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(other, name)]))
        self.coef_ = np.concatenate([self.coef_, other.coef_], axis=1)

    def _learn(self, features: FloatArray, logs: FloatArray) -> None:
        self.coef_, self.intercept_ = solve_ridge(features, logs)

    def _logs(self, features: FloatArray) -> FloatArray:
        return np.asarray(features @ self.coef_ + self.intercept_)

    def _raw(self, features: FloatArray) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore"):
            amounts = np.exp(self._logs(features))
            return np.asarray(np.clip(amounts, self.floor_, np.fmax(self.ceiling_, self.floor_)))

    def predict(self, features: FloatArray) -> FloatArray:
        """(n, m) expected USD per query and arm; NaN where an arm's cost was never seen."""
        amounts = np.where(self.known_, self._raw(features) * self.smear_, np.nan)
        amounts = amounts.reshape(len(features), len(self.prices_), 2)
        by_tokens = (amounts * np.nan_to_num(self.prices_)).sum(axis=2)
        return np.asarray(np.where(self.by_tokens_, by_tokens, amounts[:, :, 0]))

    def set_price(self, arm: int, name: str, input_price: float, output_price: float) -> None:
        """Changes one arm's prices, in USD per million tokens.

        Raises:
            UnsupportedError: Neither its tokens nor its prices were known, so nothing scales.
        """
        old = self.prices_[arm]
        if not self.by_tokens_[arm]:
            if not np.nansum(old) > 0:
                msg = (
                    f"arm {name!r} had neither tokens nor prices in training: fit again with either"
                )
                raise UnsupportedError(msg)
            self.smear_[2 * arm] *= (input_price + output_price) / float(np.nansum(old))
        self.prices_[arm] = input_price, output_price
