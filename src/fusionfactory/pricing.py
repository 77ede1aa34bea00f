"""Tokens to USD."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import TableError

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = [
    "NOMINAL_OUTPUT_TOKENS",
    "PER_MILLION",
    "cost_usd",
    "with_nominal_costs",
    "with_usable_costs",
]

PER_MILLION = 1e-6
CHARACTERS_PER_TOKEN = 4.0
NOMINAL_OUTPUT_TOKENS = 256.0


def cost_usd(input_tokens: FloatArray, output_tokens: FloatArray, prices: FloatArray) -> FloatArray:
    """USD of calls; NaN where a count or a price is unknown.

    Args:
        input_tokens: (n, m) or broadcastable to it.
        output_tokens: Likewise.
        prices: (m, 2) USD per million input and output tokens.
    """
    return np.asarray((input_tokens * prices[:, 0] + output_tokens * prices[:, 1]) * PER_MILLION)


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
