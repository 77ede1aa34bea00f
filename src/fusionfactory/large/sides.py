"""Sides of a split of a large table: which queries stand on one follows from their texts alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import TableError
from fusionfactory.large.digests import draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from fusionfactory.types import BoolArray, FloatArray

__all__ = ["Side", "on_sides", "three_sides", "tickets"]

_NEXT_SPLIT = 2**32
_SAMPLE = 2**16
_SPREAD = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Side:
    """The queries whose group draws a number in [low, high) under a seed."""

    seed: int
    low: float
    high: float


def three_sides(
    test: float, validation: float, seed: int, depth: int
) -> tuple[Side, Side | None, Side | None]:
    """The sides of train, validation and test; None for one of share 0.

    Args:
        test: Share of the queries.
        validation: Share of the queries.
        seed: Of the draw.
        depth: How many splits came before: a split of a split draws anew, or the same seed would
            find all queries on one side.

    Raises:
        TableError: A share is not in [0, 1), or nothing is left to train on.
    """
    if not (0 <= test < 1 and 0 <= validation < 1 and test + validation < 1):
        msg = f"test={test} and validation={validation} must be shares that leave a train side"
        raise TableError(msg)
    drawn, both = seed + depth * _NEXT_SPLIT, test + validation
    return (
        Side(drawn, both, 1.0),
        Side(drawn, test, both) if validation else None,
        Side(drawn, 0.0, test) if test else None,
    )


def on_sides(queries: pl.DataFrame, sides: Sequence[Side]) -> BoolArray:
    """(n,) which queries stand on all of these sides; the frame holds their `group`."""
    groups = queries["group"].to_numpy()
    mask = np.ones(len(groups), dtype=np.bool_)
    for side in sides:
        drawn = draws(groups, side.seed)
        mask &= (drawn >= side.low) & (drawn < side.high)
    return mask


def tickets(queries: pl.DataFrame, seed: int) -> FloatArray:
    """(n,) draws of the queries for a sample, near-duplicates one each; of `group` and `key`."""
    # Spread, or all queries whose ids are their texts would draw the same number.
    keys = queries["group"].to_numpy() ^ queries["key"].to_numpy() * np.uint64(_SPREAD)
    return draws(keys, seed + _SAMPLE)
