"""A log's outcomes into a store that may hold earlier ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

if TYPE_CHECKING:
    from fusionfactory.importers.logs.calls import Log
    from fusionfactory.store import Store

__all__ = ["append"]

_Same: TypeAlias = tuple[str | None, ...]
"""Query id, arm, time, response, error: what tells one outcome of a log from another."""


def append(store: Store, log: Log) -> int:
    """Writes the outcomes that the store does not hold yet; their samples follow those it holds.

    So a log that grows can be imported again and again, and one file after the other. An outcome is
    there already if one of the same query, arm, time, response and error is.

    Returns:
        How many were written.

    Raises:
        StoreError: The store cannot be written.
    """
    named = set(log.outcomes["arm"].unique())
    there: Counter[_Same] = Counter()
    next_sample: dict[tuple[str, str], int] = {}
    for outcome in store.outcomes():
        if outcome.arm in named:
            key = (outcome.query_id, outcome.arm)
            next_sample[key] = max(next_sample.get(key, 0), outcome.sample + 1)
            when = None if outcome.created is None else outcome.created.isoformat()
            there[*key, when, outcome.response, outcome.error] += 1
    samples: list[int | None] = []
    columns = ("query_id", "arm", "created", "response", "error")
    for query_id, arm, *rest in log.outcomes.select(columns).iter_rows():
        same = (query_id, arm, *rest)
        if there[same] > 0:
            there[same] -= 1
            samples.append(None)
        else:
            sample = next_sample.get((query_id, arm), 0)
            next_sample[query_id, arm] = sample + 1
            samples.append(sample)
    fresh = log.outcomes.with_columns(pl.Series("sample", samples, dtype=pl.Int64))
    return store.write_frame(fresh.drop_nulls("sample"))
