"""Engines of the two databases, so set up that nothing waits for ever."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fusionfactory.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["NO_TEXT", "make_engine"]

NO_TEXT = "\ufffd"
"""Stands in PostgreSQL for the character NUL, which its texts cannot hold."""

_BUSY_S = 60.0
_AGAIN_S = 0.01
_BUSY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_BUSY_SNAPSHOT}

_LIMITS = {
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "120s",
    "statement_timeout": "15min",
}
"""A server's limits for us: on waits for other writers, on a client that went silent in the middle
of a transaction, whose locks others wait for, and on one statement."""

_REACHING = {
    "connect_timeout": "10",
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "40000",
    "fallback_application_name": "fusionfactory",
}
"""Of libpq: how long it waits for a server, in seconds and for the last one in milliseconds."""


def make_engine(url: sa.URL) -> sa.Engine:
    """The engine of a parsed URL; it does not connect yet.

    Raises:
        StoreError: The folder of a file cannot be made.
        ModuleNotFoundError: The driver of PostgreSQL is not installed.
    """
    if url.drivername != "sqlite":
        return _postgresql(url)
    try:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{url.database}: {error.strerror}"
        raise StoreError(msg) from None
    arguments = {"timeout": _BUSY_S, "check_same_thread": False}
    engine = sa.create_engine(url, connect_args=arguments, hide_parameters=True)
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    arguments = {name: value for name, value in _REACHING.items() if name not in url.query}
    limits = " ".join(f"-c {name}={value}" for name, value in _LIMITS.items())
    # Of an option that is given twice, the server takes the last: the user's.
    arguments["options"] = f"{limits} {url.query.get('options', '')}".strip()
    engine = sa.create_engine(url, connect_args=arguments, hide_parameters=True, pool_pre_ping=True)
    sa.event.listen(engine, "connect", _replace_nul)
    return engine


def _replace_nul(connection: DBAPIConnection, _record: object) -> None:
    """What models say may hold a NUL; PostgreSQL refuses it, and the answer is paid."""
    from psycopg.types.string import StrDumperUnknown

    class Dumper(StrDumperUnknown):  # type: ignore[misc]
        def dump(self, obj: str) -> Any:  # noqa: ANN401  as the base has it
            return super().dump(obj.replace("\0", NO_TEXT) if "\0" in obj else obj)

    raw: Any = connection
    raw.adapters.register_dumper(str, Dumper)


def _set_up_sqlite(connection: DBAPIConnection, _record: object) -> None:
    raw: Any = connection
    raw.isolation_level = None  # transactions begin where _begin_sqlite says, not by guess
    _enter_wal(raw)
    raw.execute("PRAGMA synchronous = FULL")


def _enter_wal(raw: sqlite3.Connection) -> None:
    """Turns write-ahead logging on; that needs the file alone, and SQLite does not wait for it."""
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                raw.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in _BUSY_CODES or time.monotonic() > until:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
