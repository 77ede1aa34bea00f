"""A small table of answers, for what templates are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

from fusionfactory.table import QUERY_COLUMNS, OutcomeTable
from fusionfactory.types import Arm, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["outcome_table"]

Rows: TypeAlias = "Sequence[Sequence[float | None]]"


def outcome_table(
    queries: Sequence[Query],
    arms: Sequence[str],
    quality: Rows,
    *,
    cost: Rows | None = None,
    judge: Rows | None = None,
    responses: Sequence[Sequence[str | None]] | None = None,
) -> OutcomeTable:
    """Queries by arms; None is a missing cell, and responses say who answered what."""
    shape = (len(queries), len(arms))
    rows = [
        (q.id, q.text, q.task, q.domain, q.target, q.metric, q.split, q.description)
        for q in queries
    ]
    texts = np.full(shape, None, dtype=np.object_)
    for row, query in enumerate(queries):
        for column, arm in enumerate(arms):
            own = f"{arm} on {query.id}"
            texts[row, column] = own if responses is None else responses[row][column]
    return OutcomeTable(
        queries=pl.DataFrame(rows, schema=dict.fromkeys(QUERY_COLUMNS, pl.String), orient="row"),
        arms=tuple(Arm.parse(name) for name in arms),
        quality=_cells(quality, shape),
        judge=_cells(judge, shape),
        cost_usd=_cells(cost, shape),
        input_tokens=np.full(shape, 10.0),
        output_tokens=np.full(shape, np.nan),
        latency_s=np.full(shape, np.nan),
        responses=texts,
    )


def _cells(given: Rows | None, shape: tuple[int, int]) -> np.ndarray:
    if given is None:
        return np.full(shape, np.nan)
    return np.asarray([[np.nan if v is None else v for v in row] for row in given], dtype=float)
