"""Connections to a store's database, with errors that show no secret."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fusionfactory.errors import MissingExtraError, StoreError
from fusionfactory.store.migration import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["Database"]

_BUSY_S = 60.0
_AGAIN_S = 0.01
_BUSY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_BUSY_SNAPSHOT}
_SECRETS = ("password", "passwd", "sslpassword")


class Database:
    """An engine that knows its name without secrets.

    Args:
        url_or_path: A file of SQLite, or a `sqlite:///` or `postgresql://` URL.

    Raises:
        StoreError: The URL is malformed or of another kind, or the database cannot be opened.
        MissingExtraError: PostgreSQL without the extra `postgres`.
    """

    def __init__(self, url_or_path: str | Path) -> None:
        url = _parse(url_or_path)
        self.name = _name(url)
        self._secrets = [s for s in (url.password, *(url.query.get(k) for k in _SECRETS)) if s]
        self._closed = False
        try:
            self._engine = _engine(url)
        except ModuleNotFoundError:
            what = "A PostgreSQL store"
            raise MissingExtraError(what, "postgres") from None
        try:
            with self.transaction(write=True) as connection:
                prepare(connection)
        except BaseException:
            self.close()
            raise

    @property
    def is_sqlite(self) -> bool:
        """SQLite, or else PostgreSQL."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self, *, write: bool = False) -> Iterator[sa.Connection]:
        """One transaction: committed at the end, rolled back on an error.

        On SQLite a writing one takes the write lock at its begin and waits for other writers.

        Raises:
            StoreError: The database refuses. `sqlalchemy.exc.IntegrityError` passes, for the
                caller can tell which key it was.
        """
        if self._closed:
            raise self.fail("the store is closed")  # noqa: EM101
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(write=write)
                with connection.begin():
                    yield connection
        except sa.exc.IntegrityError:
            raise
        except StoreError as error:
            raise self.fail(str(error)) from None
        except (sa.exc.SQLAlchemyError, UnicodeError, sqlite3.Error) as error:
            raise self.fail(_reason(error)) from None

    def fail(self, reason: str) -> StoreError:
        """The error with the store's name and without its secrets."""
        for secret in self._secrets:
            reason = reason.replace(str(secret), "***")
        return StoreError(reason if reason.startswith(self.name) else f"{self.name}: {reason}")

    def close(self) -> None:
        """Closes every connection."""
        self._closed = True
        self._engine.dispose()


def _parse(url_or_path: str | Path) -> sa.URL:
    text = str(url_or_path)
    if "://" not in text:
        return sa.URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        msg = "the URL of the store is malformed; expected postgresql://user@host:port/database"
        raise StoreError(msg) from None
    if url.drivername in {"postgres", "postgresql", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername != "sqlite":
        msg = f"a store is SQLite or PostgreSQL, not {url.drivername!r}"
        raise StoreError(msg)
    if not url.database or url.database == ":memory:":
        msg = "a SQLite store needs a file: sqlite:///path/to/store.db"
        raise StoreError(msg)
    return url


def _name(url: sa.URL) -> str:
    if url.drivername == "sqlite":
        return str(url.database)
    host = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    return f"postgresql://{host}/{url.database or ''}"


def _engine(url: sa.URL) -> sa.Engine:
    if url.drivername != "sqlite":
        return sa.create_engine(url, hide_parameters=True, pool_pre_ping=True)
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


def _reason(error: Exception) -> str:
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__
