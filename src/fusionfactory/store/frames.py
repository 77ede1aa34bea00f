"""Many outcomes at once, from a frame into the store by the driver's fast path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.store import copying
from fusionfactory.store.records import add_arms, add_queries
from fusionfactory.store.schema import KEY
from fusionfactory.table import CELLS, QUERY_COLUMNS
from fusionfactory.types import Arm, Query

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["RENAMED", "write_frame"]

RENAMED = {"quality": "performance", "judge": "llm_judge"}
"""Columns of a table to those of `outcomes`, where they differ."""

_CHUNK = 50_000
_OPTIONAL = {"error": pl.String, "created": pl.String, "propensity": pl.Float64,
             "finish_reason": pl.String}  # fmt: skip
_COLUMNS = (*KEY, *(RENAMED.get(n, n) for n in CELLS), "response", *_OPTIONAL)


def write_frame(connection: sa.Connection, long: pl.DataFrame, *, replace: bool) -> int:
    """Writes a row per outcome, in the columns of `layout.to_long`, and their queries and arms.

    Args:
        connection: In a writing transaction.
        long: Perhaps with the further columns `sample` (else 0), `error`, `created` (ISO text),
            `propensity` and `finish_reason`. Rows that hold nothing are left out.
        replace: Replace outcomes that are there and their scores, or else fail.

    Returns:
        The number of outcomes written.

    Raises:
        StoreError: A query is there with another text.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    named = zip(QUERY_COLUMNS, ("id", "text", *QUERY_COLUMNS[2:]), strict=True)
    fields = long.select(pl.col(name).alias(field) for name, field in named)
    first = fields.unique("id", keep="first", maintain_order=True)
    query_nos = (_add_queries if is_sqlite else copying.add_queries)(connection, first)
    columns = ["model", "strategy", "input_price", "output_price", "arm_description"]
    unique = long.select("arm", *columns).unique("arm", keep="first", maintain_order=True)
    named_arms = add_arms(connection, (Arm(*row) for row in unique.select(columns).iter_rows()))
    frame = _numbered(long, query_nos, _frame_of(named_arms))
    insert = _insert if is_sqlite else copying.insert
    for chunk in frame.iter_slices(_CHUNK):
        insert(connection, chunk, replace=replace)
    return frame.height


def _add_queries(connection: sa.Connection, first: pl.DataFrame) -> pl.DataFrame:
    given = (Query(**row) for row in first.iter_rows(named=True))
    return _frame_of(add_queries(connection, given))


def _frame_of(numbers: dict[str, int]) -> pl.DataFrame:
    schema = {"name": pl.String, "no": pl.Int64}
    return pl.DataFrame([list(numbers), list(numbers.values())], schema=schema)


def _numbered(long: pl.DataFrame, query_nos: pl.DataFrame, arm_nos: pl.DataFrame) -> pl.DataFrame:
    """The rows that hold something, by their keys and in the order of these."""
    absent = [
        pl.lit(None, dtype).alias(n) for n, dtype in _OPTIONAL.items() if n not in long.columns
    ]
    if "sample" not in long.columns:
        absent.append(pl.lit(0).alias("sample"))
    held = [*CELLS, "response", "error"]
    frame = long.with_columns(absent)
    frame = frame.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in held))
    for name, column, known in (("query_id", "query_no", query_nos), ("arm", "arm_no", arm_nos)):
        frame = frame.join(known.rename({"name": name, "no": column}), on=name, how="left")
    frame = frame.rename(RENAMED).select(_COLUMNS).sort(KEY)
    return frame.with_columns(pl.selectors.float().fill_nan(None))


def _insert(connection: sa.Connection, chunk: pl.DataFrame, *, replace: bool) -> None:
    """By SQLite's own driver, which takes rows as they are."""
    columns, marks = ", ".join(_COLUMNS), ", ".join("?" * len(_COLUMNS))
    insert = f"INSERT INTO outcomes ({columns}) VALUES ({marks})"  # noqa: S608  our names
    if not replace:
        connection.exec_driver_sql(insert, chunk.rows())
        return
    connection.exec_driver_sql(insert + copying.on_conflict(_COLUMNS, KEY), chunk.rows())
    mine = " AND ".join(f"{name} = ?" for name in KEY)
    delete = f"DELETE FROM scores WHERE {mine}"  # noqa: S608  our names
    connection.exec_driver_sql(delete, chunk.select(KEY).rows())
