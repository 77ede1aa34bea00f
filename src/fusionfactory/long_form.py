"""Rows of the long form, one per cell, as queries, arms and positions in an n by m array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.types import Arm, IntArray

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ARM_COLUMNS", "CELLS", "QUERY_COLUMNS", "arms_of", "first_known", "positions"]

CELLS = ("quality", "judge", "cost_usd", "input_tokens", "output_tokens", "latency_s", "logprob")
"""The numbers of a cell."""
QUERY_COLUMNS = ("query_id", "query", "task", "domain", "target", "metric", "split", "description")
ARM_COLUMNS = ("arm", "model", "strategy", "input_price", "output_price", "arm_description")


def first_known(long: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """A row per value of the first column, in order of appearance, with the others' first known."""
    return long.group_by(columns[0], maintain_order=True).agg(
        pl.col(name).drop_nulls().first() for name in columns[1:]
    )


def arms_of(frame: pl.DataFrame) -> tuple[Arm, ...]:
    """The arms of a frame with `ARM_COLUMNS`, one per row."""
    return tuple(
        Arm(model, strategy, input_price, output_price, description)
        for _, model, strategy, input_price, output_price, description in frame.select(
            ARM_COLUMNS
        ).iter_rows()
    )


def positions(values: pl.Series, keys: pl.Series) -> IntArray:
    """(r,) the place of each value among the keys, which are unique."""
    index = pl.DataFrame({"key": keys, "position": np.arange(len(keys))})
    found = values.to_frame("key").join(index, on="key", how="left", maintain_order="left")
    return found["position"].to_numpy()
