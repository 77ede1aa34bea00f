"""Many outcomes at once: frames into the store by the driver's fast path, arrays out of it."""

from __future__ import annotations

from contextlib import closing
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from fusionfactory.store.engine import NO_TEXT
from fusionfactory.store.failures import as_ours, driver_error
from fusionfactory.store.records import add_arms, add_queries, arm_of
from fusionfactory.store.schema import KEY, arms, outcomes, queries
from fusionfactory.table import CELLS, QUERY_COLUMNS, OutcomeTable
from fusionfactory.types import Arm, Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.types import IntArray

__all__ = ["read_table", "write_frame"]

_CHUNK = 50_000
_RENAMED = {"quality": "performance", "judge": "llm_judge"}
_OPTIONAL = {"error": pl.String, "created": pl.String, "propensity": pl.Float64,
             "finish_reason": pl.String}  # fmt: skip
_ESCAPED = {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\0": NO_TEXT}
_COLUMNS = (*KEY, *(_RENAMED.get(n, n) for n in CELLS), "response", *_OPTIONAL)


def write_frame(connection: sa.Connection, long: pl.DataFrame, *, replace: bool) -> int:
    """Writes a row per outcome, in the columns of `layout.to_long`, and their queries and arms.

    Args:
        connection: In a writing transaction.
        long: Perhaps with the further columns `sample` (else 0), `error`, `created` (ISO text),
            `propensity` and `finish_reason`. Rows that hold nothing are left out.
        replace: Replace outcomes that are there, or else fail.

    Returns:
        The number of outcomes written.

    Raises:
        StoreError: A query is there with another text.
    """
    named = zip(QUERY_COLUMNS, ("id", "text", *QUERY_COLUMNS[2:]), strict=True)
    fields = long.select(pl.col(name).alias(field) for name, field in named)
    first = fields.unique("id", keep="first", maintain_order=True)
    query_nos = add_queries(connection, (Query(**row) for row in first.iter_rows(named=True)))
    columns = ["model", "strategy", "input_price", "output_price", "arm_description"]
    unique = long.select("arm", *columns).unique("arm", keep="first", maintain_order=True)
    arm_nos = add_arms(connection, (Arm(*row) for row in unique.select(columns).iter_rows()))
    frame = _numbered(long, query_nos, arm_nos)
    insert = _insert_sqlite if connection.dialect.name == "sqlite" else _copy_postgresql
    for chunk in frame.iter_slices(_CHUNK):
        insert(connection, chunk, replace)
    return frame.height


def _numbered(
    long: pl.DataFrame, query_nos: dict[str, int], arm_nos: dict[str, int]
) -> pl.DataFrame:
    """The rows that hold something, by their keys and in the order of these."""
    absent = [
        pl.lit(None, dtype).alias(n) for n, dtype in _OPTIONAL.items() if n not in long.columns
    ]
    if "sample" not in long.columns:
        absent.append(pl.lit(0).alias("sample"))
    frame = long.with_columns(absent)
    held = [*CELLS, "response", "error"]
    frame = frame.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in held))
    for name, column, numbers in (
        ("query_id", "query_no", query_nos),
        ("arm", "arm_no", arm_nos),
    ):
        known = pl.DataFrame({name: list(numbers), column: list(numbers.values())})
        frame = frame.join(known, on=name, how="left", maintain_order="left")
    frame = frame.rename(_RENAMED).select(_COLUMNS).sort(KEY)
    return frame.with_columns(pl.selectors.float().fill_nan(None))


def _conflict() -> str:
    changed = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in KEY)
    return f" ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {changed}"


def _insert_sqlite(connection: sa.Connection, chunk: pl.DataFrame, replace: bool) -> None:
    marks = ", ".join("?" * len(_COLUMNS))
    insert = f"INSERT INTO outcomes ({', '.join(_COLUMNS)}) VALUES ({marks})"  # noqa: S608  our names
    connection.exec_driver_sql(insert + (_conflict() if replace else ""), chunk.rows())
    if replace:
        mine = " AND ".join(f"{name} = ?" for name in KEY)
        delete = f"DELETE FROM scores WHERE {mine}"  # noqa: S608  our names
        connection.exec_driver_sql(delete, chunk.select(KEY).rows())


def _copy_postgresql(connection: sa.Connection, chunk: pl.DataFrame, replace: bool) -> None:
    columns = ", ".join(_COLUMNS)
    if not replace:
        _copy(connection, "outcomes", columns, chunk)
        return
    create = "CREATE TEMPORARY TABLE incoming (LIKE outcomes) ON COMMIT DROP"
    connection.exec_driver_sql("DROP TABLE IF EXISTS incoming")
    connection.exec_driver_sql(create)
    _copy(connection, "incoming", columns, chunk)
    insert = f"INSERT INTO outcomes ({columns}) SELECT {columns} FROM incoming"  # noqa: S608  our names
    connection.exec_driver_sql(f"{insert} ORDER BY {', '.join(KEY)}{_conflict()}")
    mine = " AND ".join(f"scores.{name} = incoming.{name}" for name in KEY)
    connection.exec_driver_sql(f"DELETE FROM scores USING incoming WHERE {mine}")  # noqa: S608  our names


def _copy(connection: sa.Connection, target: str, columns: str, chunk: pl.DataFrame) -> None:
    raw: Any = connection.connection.driver_connection
    try:
        with raw.cursor() as cursor, cursor.copy(f"COPY {target} ({columns}) FROM STDIN") as copy:
            copy.write(_copy_text(chunk))
    except driver_error(connection) as error:
        raise as_ours(connection, error) from None


def _copy_text(chunk: pl.DataFrame) -> bytes:
    r"""The text format of COPY: a tab between values, `\N` for none."""
    # Not its CSV: servers before version 18 take a line that is \. for the end, in quotes too.
    signs, escaped = list(_ESCAPED), list(_ESCAPED.values())
    texts = pl.selectors.string().str.replace_many(signs, escaped)
    buffer = BytesIO()
    chunk.with_columns(texts).write_csv(
        buffer, include_header=False, separator="\t", quote_style="never", null_value=r"\N"
    )
    return buffer.getvalue()


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
    names = [*KEY, *(_RENAMED.get(n, n) for n in CELLS), *(["response"] if responses else [])]
    query = sa.select(*(outcomes.c[name] for name in names)).where(outcomes.c.error.is_(None), some)
    text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
    raw: Any = connection.connection.driver_connection
    # The driver's own rows: SQLAlchemy's cost as much again. A named cursor is one on the server.
    server_side = [] if connection.dialect.name == "sqlite" else ["rows"]
    try:
        with closing(raw.cursor(*server_side)) as cursor:
            cursor.execute(text)
            while page := cursor.fetchmany(_CHUNK):
                yield list(zip(*page, strict=True))
    except driver_error(connection) as error:
        raise as_ours(connection, error) from None


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
    rows = connection.execute(sa.select(*columns).where(some).order_by(queries.c.no)).all()
    schema = {"no": pl.Int64, **dict.fromkeys(QUERY_COLUMNS, pl.String)}
    frame = pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")
    return frame.filter(pl.col("no").is_in(numbers.tolist())).drop("no")


def _read_arms(connection: sa.Connection, numbers: IntArray) -> tuple[Arm, ...]:
    rows = connection.execute(sa.select(arms).order_by(arms.c.no)).mappings()
    wanted = set(numbers.tolist())
    return tuple(arm_of(row) for row in rows if row["no"] in wanted)
