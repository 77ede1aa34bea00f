"""Rows of a select, some at a time: from PostgreSQL by a cursor on the server."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from fusionfactory.store.failures import as_ours, driver_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

__all__ = ["stream"]


def stream(
    connection: sa.Connection, select: sa.Select[Any] | sa.TextClause, size: int
) -> Iterator[list[tuple[Any, ...]]]:
    """Pages of rows, as the driver has them: SQLAlchemy's rows cost as much again.

    Args:
        connection: In a transaction, until the last page.
        select: Its values stand in the statement, so let none be a user's text.
        size: Rows of a page at most.
    """
    text = str(select.compile(connection, compile_kwargs={"literal_binds": True}))
    raw: Any = connection.connection.driver_connection
    name = [] if connection.dialect.name == "sqlite" else ["rows"]
    try:
        # Closed in any case: psycopg warns of one that is left open, as SQLAlchemy leaves one
        # whose connection is lost.
        with closing(raw.cursor(*name)) as cursor:
            cursor.execute(text)
            while page := cursor.fetchmany(size):
                yield page
    except driver_error(connection) as error:
        raise as_ours(connection, error) from None
