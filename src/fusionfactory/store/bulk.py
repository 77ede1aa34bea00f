"""Many outcomes at once, out of the store as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from fusionfactory.store.frames import RENAMED
from fusionfactory.store.records import arm_of
from fusionfactory.store.schema import KEY, arms, outcomes, queries
from fusionfactory.store.streaming import stream
from fusionfactory.table import CELLS, QUERY_COLUMNS, OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.types import Arm, IntArray

__all__ = ["read_table"]

_CHUNK, _PAGE = 50_000, 10_000


def read_table(
    connection: sa.Connection,
    *,
    sample: int | None,
    responses: bool,
    among: sa.Select[tuple[int]] | None = None,
) -> OutcomeTable | None:
    """The table of all outcomes, read in chunks of columns; None if there are none.

    Args:
        connection: In a transaction.
        sample: The sample to read, or None for means over samples.
        responses: Read the responses too: of the lowest sample.
        among: Selects the numbers of the queries to read; None for all.
    """
    some = outcomes.c.sample == sample if sample is not None else sa.true()
    if among is not None:
        some &= outcomes.c.query_no.in_(among)
    query_nos = _distinct(connection, outcomes.c.query_no, some)
    arm_nos = _distinct(connection, outcomes.c.arm_no, some)
    if not len(query_nos):
        return None
    shape = (len(query_nos), len(arm_nos))
    sums = {name: np.zeros(shape) for name in CELLS}
    counts = {name: np.zeros(shape, dtype=np.int32) for name in CELLS}
    texts = np.full(shape, None, dtype=np.object_) if responses else None
    lowest = np.full(shape, np.iinfo(np.int64).max) if responses else None
    for columns in _chunks(connection, some, responses=responses):
        rows = np.searchsorted(query_nos, np.asarray(columns[0]))
        flat = rows * shape[1] + np.searchsorted(arm_nos, np.asarray(columns[1]))
        for name, values in zip(CELLS, columns[3:], strict=False):
            array = np.asarray(values, dtype=np.float64)
            known = ~np.isnan(array)
            np.add.at(sums[name].ravel(), flat[known], array[known])
            np.add.at(counts[name].ravel(), flat[known], 1)
        if texts is not None and lowest is not None:
            _keep_lowest(texts, lowest, flat, np.asarray(columns[2]), columns[-1])
    cells = {
        name: np.divide(sums[name], count, out=np.full(shape, np.nan), where=count > 0)
        for name, count in counts.items()
    }
    if texts is not None and not (texts != None).any():  # noqa: E711  elementwise on objects
        texts = None
    return OutcomeTable(
        queries=_read_queries(connection, query_nos, among),
        arms=_read_arms(connection, arm_nos),
        responses=texts,
        cost_basis="missing" if np.isnan(cells["cost_usd"]).all() else "measured",
        samples=counts["quality"].astype(np.float64) if sample is None else None,
        **cells,
    )


def _distinct(connection: sa.Connection, column: Any, some: Any) -> IntArray:  # noqa: ANN401
    found = connection.execute(sa.select(column).where(some).distinct().order_by(column)).scalars()
    return np.fromiter(found, dtype=np.int64)


def _chunks(connection: sa.Connection, some: Any, *, responses: bool) -> Iterator[list[Any]]:  # noqa: ANN401
    """Columns `query_no, arm_no, sample, *CELLS[, response]` of outcomes that did not fail."""
    names = [*KEY, *(RENAMED.get(n, n) for n in CELLS), *(["response"] if responses else [])]
    select = sa.select(*(outcomes.c[name] for name in names))
    for page in stream(connection, select.where(outcomes.c.error.is_(None), some), _CHUNK):
        yield list(zip(*page, strict=True))


def _keep_lowest(
    texts: np.ndarray,
    lowest: IntArray,
    flat: IntArray,
    samples: IntArray,
    given: Any,  # noqa: ANN401
) -> None:
    """Of several samples' texts of a cell, keeps that of the lowest sample."""
    order = np.argsort(-samples, kind="stable")
    flat, samples = flat[order], samples[order]
    better = samples < lowest.ravel()[flat]
    values = np.empty(len(flat), dtype=np.object_)
    values[:] = given
    texts.ravel()[flat[better]] = values[order][better]
    lowest.ravel()[flat[better]] = samples[better]


def _read_queries(
    connection: sa.Connection, numbers: IntArray, among: sa.Select[tuple[int]] | None
) -> pl.DataFrame:
    columns = [queries.c[name] for name in ("no", "id", "text", *QUERY_COLUMNS[2:])]
    some = sa.true() if among is None else queries.c.no.in_(among)
    select = sa.select(*columns).where(some).order_by(queries.c.no)
    schema = {"no": pl.Int64, **dict.fromkeys(QUERY_COLUMNS, pl.String)}
    wanted = pl.DataFrame({"no": numbers}, schema={"no": pl.Int64})
    pages = [
        pl.DataFrame(page, schema=schema, orient="row").join(
            wanted, on="no", how="semi", maintain_order="left"
        )
        for page in stream(connection, select, _PAGE)
    ]
    return pl.concat([pl.DataFrame(schema=schema), *pages]).drop("no")


def _read_arms(connection: sa.Connection, numbers: IntArray) -> tuple[Arm, ...]:
    rows = connection.execute(sa.select(arms).order_by(arms.c.no)).mappings()
    wanted = set(numbers.tolist())
    return tuple(arm_of(row) for row in rows if row["no"] in wanted)
