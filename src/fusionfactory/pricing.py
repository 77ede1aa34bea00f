"""Tokens to USD."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = [
    "NOMINAL_OUTPUT_TOKENS",
    "PER_MILLION",
    "CallPrice",
    "cost_usd",
    "with_nominal_costs",
    "with_usable_costs",
]

PER_MILLION = 1e-6
CHARACTERS_PER_TOKEN = 4.0
NOMINAL_OUTPUT_TOKENS = 256.0
_USUAL_TOKENS = 1_000
"""Of a call whose price stands for all: some lists charge more per token in long ones."""


def cost_usd(input_tokens: FloatArray, output_tokens: FloatArray, prices: FloatArray) -> FloatArray:
    """USD of calls; NaN where a count or a price is unknown.

    Args:
        input_tokens: (n, m) or broadcastable to it.
        output_tokens: Likewise.
        prices: (m, 2) USD per million input and output tokens.
    """
    return np.asarray((input_tokens * prices[:, 0] + output_tokens * prices[:, 1]) * PER_MILLION)


@dataclass(frozen=True, slots=True)
class CallPrice:
    """What a call of one model costs: by the prices given here, or else by genai-prices.

    Attributes:
        model: The name under which genai-prices may know the model; None where no list counts.
        provider: Its provider there, where the name alone is ambiguous: `openai`, `groq`, ...
        input_price: USD per million input tokens; overrides the price list, with `output_price`.
        output_price: USD per million output tokens.
    """

    model: str | None
    provider: str | None = None
    input_price: float | None = None
    output_price: float | None = None

    def per_million(self) -> tuple[float | None, float | None]:
        """USD per million input and output tokens; None where unknown."""
        if self.input_price is not None and self.output_price is not None:
            return self.input_price, self.output_price
        one, other = self._listed(_USUAL_TOKENS, 0), self._listed(0, _USUAL_TOKENS)
        return (
            self.input_price if self.input_price is not None else _scaled(one),
            self.output_price if self.output_price is not None else _scaled(other),
        )

    @property
    def known(self) -> bool:
        """Whether a call with token counts has a cost."""
        return None not in self.per_million()

    def usd(
        self,
        input_tokens: int | None,
        output_tokens: int | None,
        usage: Mapping[str, Any] | None = None,
    ) -> float | None:
        """The cost of a call in USD; None, never 0, where a count or a price is unknown.

        Args:
            input_tokens: Tokens of the prompt, cached ones included.
            output_tokens: Tokens of the answer, reasoning included.
            usage: The endpoint's usage object; the price list charges its cached tokens as such.
        """
        if input_tokens is None or output_tokens is None:
            return None
        if self.input_price is None and self.output_price is None:
            return self._listed(input_tokens, output_tokens, _cached_tokens(usage or {}))
        prices = self.per_million()
        if prices[0] is None or prices[1] is None:
            return None
        return (input_tokens * prices[0] + output_tokens * prices[1]) * PER_MILLION

    def _listed(self, input_tokens: int, output_tokens: int, cached: int = 0) -> float | None:
        if self.model is None:
            return None
        from genai_prices import Usage, calc_price

        usage = Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=min(cached, input_tokens),
        )
        try:
            return float(calc_price(usage, self.model, provider_id=self.provider).total_price)
        except (LookupError, ValueError):
            return None


def _scaled(usd: float | None) -> float | None:
    """USD per million tokens, from those of `_USUAL_TOKENS`; rounded as price lists are."""
    return None if usd is None else round(usd / _USUAL_TOKENS / PER_MILLION, 9)


def _cached_tokens(usage: Mapping[str, Any]) -> int:
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return cached if isinstance(cached, int) and cached > 0 else 0


def with_usable_costs(table: OutcomeTable) -> OutcomeTable:
    """The table, with nominal costs where it has none and every arm has a price."""
    if table.has_costs or np.isnan(table.prices).any():
        return table
    return with_nominal_costs(table)


def with_nominal_costs(
    table: OutcomeTable, output_tokens: float = NOMINAL_OUTPUT_TOKENS
) -> OutcomeTable:
    """Costs by the price list alone, for a table that carries neither costs nor token counts.

    Every answered cell costs (characters of the query / 4) input tokens and `output_tokens` output
    tokens at its arm's prices. Such costs rank arms by list price; they know nothing of how much an
    arm writes. The table says so in `cost_basis`.

    Raises:
        TableError: The table has costs already, or an arm has no price.
    """
    if table.has_costs:
        msg = "the table carries costs already"
        raise TableError(msg, field="cost")
    unpriced = np.isnan(table.prices).any(axis=1)
    if unpriced.any():
        msg = f"{table.arm_names[int(unpriced.argmax())]!r} has no price"
        raise TableError(msg, field="input_price")
    length = table.queries["query"].str.len_chars().to_numpy()[:, None] / CHARACTERS_PER_TOKEN
    costs = cost_usd(length, np.full((1, len(table.arms)), output_tokens), table.prices)
    costs = np.where(table.observed(), costs, np.nan)
    return replace(table, cost_usd=costs, cost_basis="nominal")
