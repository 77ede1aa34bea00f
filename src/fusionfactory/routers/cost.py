"""Expected cost of every arm on a query: expected tokens times today's prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import UnsupportedError
from fusionfactory.estimator import Estimator
from fusionfactory.pricing import PER_MILLION, cost_usd
from fusionfactory.routers.linear import solve_ridge

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        self.survey([table], table.prices)
        self._learn(features, self.log_amounts(table))
        return self._smear([(table, features)])

    # Fitting block by block: survey, regress `log_amounts`, finish

    def survey(self, tables: Iterable[OutcomeTable], prices: FloatArray) -> CostModel:
        """Learns what is known of each arm, and within which bounds; forgets any earlier fit.

        Args:
            tables: Blocks of outcomes.
            prices: (m, 2) USD per million input and output tokens, NaN where unknown.
        """
        self.reset()
        m = len(prices)
        counted, matched = np.zeros(m, dtype=bool), np.ones(m, dtype=bool)
        low, high = np.full((3, m), np.inf), np.full((3, m), -np.inf)
        listed, paid = np.zeros(m), np.zeros(m)
        for table in tables:
            tokens = table.input_tokens, table.output_tokens
            amounts = np.stack([*(count * PER_MILLION for count in tokens), table.cost_usd])
            low = np.fmin(low, np.fmin.reduce(amounts, axis=1, initial=np.inf))
            high = np.fmax(high, np.fmax.reduce(amounts, axis=1, initial=-np.inf))
            known = ~np.isnan(amounts)
            counted |= (known[0] & known[1]).any(axis=0)
            matched &= ((known[0] & known[1]) == known[2]).all(axis=0)
            by_list = cost_usd(*tokens, prices)
            both = ~np.isnan(by_list) & known[2]
            listed += np.where(both, by_list, 0.0).sum(axis=0)
            paid += np.where(both, table.cost_usd, 0.0).sum(axis=0)
        self.prices_ = prices
        self.by_tokens_ = ~np.isnan(prices).any(axis=1) & counted & matched
        self.floor_ = np.fmax(self._pairs(low, np.inf), _LEAST)
        self.ceiling_ = self._pairs(high, -np.inf)
        self.known_ = np.isfinite(self.ceiling_)
        # Measured cost / (tokens x price), for discounts and surcharges; 1 without tokens.
        usable = self.by_tokens_ & (listed > 0)
        self.smear_ = np.repeat(np.divide(paid, listed, out=np.ones(m), where=usable), 2)
        return self

    def _pairs(self, bounds: FloatArray, unknown: float) -> FloatArray:
        """(2 m,) bounds of the amounts, from (3, m) bounds of tokens in, tokens out and costs."""
        alone = np.stack([bounds[2], np.full(bounds.shape[1], unknown)])
        return np.where(self.by_tokens_, bounds[:2], alone).T.ravel()

    def _amounts(self, table: OutcomeTable) -> FloatArray:
        """(n, 2 m) tokens in millions, in and out; of an arm without them its cost and NaN."""
        tokens = np.stack([table.input_tokens, table.output_tokens], axis=2)
        amounts = np.where(self.by_tokens_[:, None], tokens * PER_MILLION, np.nan)
        amounts[:, ~self.by_tokens_, 0] = table.cost_usd[:, ~self.by_tokens_]
        return amounts.reshape(len(table), -1)

    def log_amounts(self, table: OutcomeTable) -> FloatArray:
        """(n, 2 m) what is regressed on the features; NaN where unknown."""
        return np.log(np.maximum(self._amounts(table), _LEAST))

    def finish(
        self,
        coef: FloatArray,
        intercept: FloatArray,
        blocks: Iterable[tuple[OutcomeTable, FloatArray]],
    ) -> CostModel:
        """Takes the regression of all blocks, and learns from the blocks how far it is biased.

        Args:
            coef: (d, 2 m).
            intercept: (2 m,).
            blocks: The outcomes and their (n, d) features.
        """
        self.coef_, self.intercept_ = coef, intercept
        return self._smear(blocks)

    def _smear(self, blocks: Iterable[tuple[OutcomeTable, FloatArray]]) -> CostModel:
        total, guessed, cells = (np.zeros(len(self.smear_)) for _ in range(3))
        for table, features in blocks:
            amounts = self._amounts(table)
            seen = ~np.isnan(amounts)
            total += np.where(seen, amounts, 0.0).sum(axis=0)
            guessed += np.where(seen, self._raw(features), 0.0).sum(axis=0)
            cells += seen.sum(axis=0)
        known = self.known_
        mean, guess = total[known] / cells[known], guessed[known] / cells[known]
        self.smear_[known] *= mean / np.maximum(guess, _LEAST)
        return self

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
