"""Many rows at once into PostgreSQL, by COPY.

Where rows may be there already, it goes into a table of the transaction's own, and on from that.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from fusionfactory.errors import StoreError
from fusionfactory.store.engine import NO_TEXT
from fusionfactory.store.failures import as_ours, driver_error
from fusionfactory.store.schema import KEY
from fusionfactory.store.streaming import stream

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["add_queries", "insert", "on_conflict"]

_ESCAPED = {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\0": NO_TEXT}
_PAGE = 20_000


def add_queries(connection: sa.Connection, first: pl.DataFrame) -> pl.DataFrame:
    """Adds queries as `records.add_queries` does.

    Args:
        connection: In a writing transaction of PostgreSQL.
        first: The columns of `queries`, a row per id.

    Returns:
        `name` and `no` of each.

    Raises:
        StoreError: An id is there with another text.
    """
    columns = ", ".join(first.columns)
    _take(connection, "asked", "queries", first)
    insert = f"INSERT INTO queries ({columns}) SELECT {columns} FROM asked"  # noqa: S608  our names
    connection.exec_driver_sql(f"{insert} ORDER BY ctid ON CONFLICT (id) DO NOTHING")
    same = "FROM asked JOIN queries USING (id)"
    changed = f"SELECT id {same} WHERE asked.text <> queries.text LIMIT 1"
    other = connection.exec_driver_sql(changed).scalar()
    if other is not None:
        msg = f"query {other!r} is in the store with another text"
        raise StoreError(msg)
    more = [name for name in first.columns if name not in {"id", "text"}]
    value = {name: f"COALESCE(asked.{name}, queries.{name})" for name in more}
    known = ", ".join(f"{name} = {value[name]}" for name in more)
    new = " OR ".join(f"{value[name]} IS DISTINCT FROM queries.{name}" for name in more)
    update = f"UPDATE queries SET {known} FROM asked"  # noqa: S608  our names
    connection.exec_driver_sql(f"{update} WHERE asked.id = queries.id AND ({new})")
    numbers = stream(connection, sa.text(f"SELECT id, no {same}"), _PAGE)
    schema = {"name": pl.String, "no": pl.Int64}
    pages = [pl.DataFrame(page, schema=schema, orient="row") for page in numbers]
    return pl.concat([pl.DataFrame(schema=schema), *pages])


def insert(connection: sa.Connection, chunk: pl.DataFrame, *, replace: bool) -> None:
    """Adds rows to `outcomes`, or replaces those of the same key with their scores.

    Args:
        connection: In a writing transaction of PostgreSQL.
        chunk: Columns of `outcomes`, by their keys in order.
        replace: Replace rows that are there, or else fail.
    """
    if not replace:
        _copy(connection, "outcomes", chunk)
        return
    columns = ", ".join(chunk.columns)
    _take(connection, "incoming", "outcomes", chunk)
    rows = f"SELECT {columns} FROM incoming ORDER BY {', '.join(KEY)}"  # noqa: S608  our names
    put = f"INSERT INTO outcomes ({columns}) {rows}{on_conflict(chunk.columns, KEY)}"
    connection.exec_driver_sql(put)
    mine = " AND ".join(f"scores.{name} = incoming.{name}" for name in KEY)
    connection.exec_driver_sql(f"DELETE FROM scores USING incoming WHERE {mine}")  # noqa: S608  our names


def on_conflict(columns: Sequence[str], key: Sequence[str]) -> str:
    """The end of an insert that replaces a row of the same key."""
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    return f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changed}"


def _take(connection: sa.Connection, name: str, like: str, rows: pl.DataFrame) -> None:
    """Rows into a table of that name, which is there until the transaction ends."""
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS pg_temp.{name}")
    columns = ", ".join(rows.columns)
    none = f"SELECT {columns} FROM {like} WITH NO DATA"  # noqa: S608  our names
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {none}")
    _copy(connection, name, rows)
    connection.exec_driver_sql(f"ANALYZE {name}")


def _copy(connection: sa.Connection, target: str, rows: pl.DataFrame) -> None:
    raw: Any = connection.connection.driver_connection
    copy_in = f"COPY {target} ({', '.join(rows.columns)}) FROM STDIN"
    try:
        with raw.cursor() as cursor, cursor.copy(copy_in) as copy:
            for some in rows.iter_slices(_PAGE):
                copy.write(_copy_text(some))
    except driver_error(connection) as error:
        raise as_ours(connection, error) from None


def _copy_text(rows: pl.DataFrame) -> bytes:
    r"""The text format of COPY: a tab between values, `\N` for none."""
    # Not its CSV: servers before version 18 take a line that is \. for the end, in quotes too.
    signs, escaped = list(_ESCAPED), list(_ESCAPED.values())
    texts = pl.selectors.string().str.replace_many(signs, escaped)
    buffer = BytesIO()
    rows.with_columns(texts).write_csv(
        buffer, include_header=False, separator="\t", quote_style="never", null_value=r"\N"
    )
    return buffer.getvalue()
