"""Whether a transaction of PostgreSQL is committed, where the answer to its commit was lost.

`pg_xact_status` cannot tell: a server that crashes may use a transaction's number again. So every
writing transaction counts up a row of its connection in `writers`, which is there with the rest of
it or not at all. Rows of connections that have not written for a day are deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from fusionfactory.store.schema import writers

__all__ = ["Mark", "is_committed", "mark"]

_DAY_S = 86_400.0
_NOW = sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Double)


@dataclass(frozen=True, slots=True)
class Mark:
    """A transaction.

    Attributes:
        writer: Its connection.
        number: Which one of that.
    """

    writer: str
    number: int


def mark(connection: sa.Connection) -> Mark:
    """Counts a writing transaction, as the last of its statements."""
    info = connection.info  # lives as long as the driver's connection
    number = info["commits"] = info.get("commits", 0) + 1
    if number == 1:
        old = sa.select(writers.c.id).where(writers.c.at < _NOW - _DAY_S)
        gone = old.with_for_update(skip_locked=True).scalar_subquery()
        connection.execute(writers.delete().where(writers.c.id.in_(gone)))
    mine = Mark(info.setdefault("writer", uuid4().hex), number)
    connection.execute(_claim(mine, number=number))
    return mine


def is_committed(connection: sa.Connection, given: Mark) -> bool:
    """Whether it is; waits for its end where the server has not noticed that its client is gone."""
    claim = _claim(given).returning(writers.c.number)
    return bool(connection.execute(claim).scalar_one() == given.number)


def _claim(given: Mark, **change: int) -> Any:  # noqa: ANN401  a statement of the dialect's own
    from sqlalchemy.dialects.postgresql import insert

    row = insert(writers).values(id=given.writer, number=change.get("number", 0), at=_NOW)
    return row.on_conflict_do_update(index_elements=["id"], set_={"at": _NOW, **change})
