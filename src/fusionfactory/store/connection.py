"""Transactions of a store's database, with errors that show no secret."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from fusionfactory.errors import MissingExtraError, StoreAwayError, StoreError
from fusionfactory.store.address import name_of, parse, secrets_of
from fusionfactory.store.commits import Mark, is_committed, mark
from fusionfactory.store.engine import make_engine
from fusionfactory.store.failures import collided, is_lost, reason
from fusionfactory.store.migration import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["PATIENCE_S", "Database"]

PATIENCE_S = 120.0
"""Seconds for which `Database.run` waits for a server that is away."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_LOOK_UP_S = 10.0
_COLLISIONS = 20

T = TypeVar("T")


class Database:
    """An engine that knows its name without secrets.

    Args:
        url_or_path: A file of SQLite, or a `sqlite:///` or `postgresql://` URL.
        lazy: Open it when it is first used, and not at once.
        patience_s: Seconds for which `run` waits for a server that was there and is away.

    Raises:
        StoreError: The URL is malformed or of another kind, or the database cannot be opened.
        MissingExtraError: PostgreSQL without the extra `postgres`.
    """

    def __init__(
        self, url_or_path: str | Path, *, lazy: bool = False, patience_s: float = PATIENCE_S
    ) -> None:
        url = parse(url_or_path)
        self.name = name_of(url)
        self._secrets = secrets_of(url)
        self._patience_s = patience_s
        self._closed, self._is_open = False, False
        self._opening = threading.Lock()
        try:
            self._engine = make_engine(url)
        except ModuleNotFoundError:
            what = "A PostgreSQL store"
            raise MissingExtraError(what, "postgres") from None
        try:
            if not lazy:
                with self.transaction():
                    pass
        except BaseException:
            self.close()
            raise

    @property
    def is_sqlite(self) -> bool:
        """SQLite, or else PostgreSQL."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self, *, write: bool = False) -> Iterator[sa.Connection]:
        """One transaction, tried once: committed at the end, rolled back on an error.

        On SQLite a writing one takes the write lock at its begin and waits for other writers. A
        commit to PostgreSQL whose answer is lost is looked up, for some seconds.

        Raises:
            StoreAwayError: The database cannot be reached; nothing is written.
            StoreError: The database refuses, or it is not known whether this is written.
                `sqlalchemy.exc.IntegrityError` passes, for the caller can tell which key it was.
        """
        try:
            with self._once(write=write, look_up_s=_LOOK_UP_S) as connection:
                yield connection
        except sa.exc.IntegrityError:
            raise
        except (StoreError, sa.exc.SQLAlchemyError, UnicodeError, sqlite3.Error) as error:
            raise self._ours(error) from None

    def run(
        self,
        work: Callable[[sa.Connection], T],
        *,
        write: bool = False,
        patience_s: float | None = None,
    ) -> T:
        """Does work in a transaction, again from its beginning until one is committed.

        Again, where PostgreSQL rolls it back because of another transaction, and where the
        connection is lost and it was not committed: a server that is away is waited for, and once
        it is back the work goes on within two seconds. What is committed is never done again.

        Args:
            work: Does all that it does by the connection.
            write: Take the write lock of SQLite at the beginning, and wait for it.
            patience_s: Seconds to wait for a server that is away; None for those of the database.

        Returns:
            What the work does.

        Raises:
            StoreAwayError: The database was away for longer; nothing is written.
            StoreError: As `transaction`. `sqlalchemy.exc.IntegrityError` passes.
        """
        patience_s = self._patience_s if patience_s is None else patience_s
        until = time.monotonic() + patience_s
        pauses, collisions = _pauses(), 0
        while True:
            left_s = until - time.monotonic()
            try:
                with self._once(write=write, look_up_s=max(left_s, _LOOK_UP_S)) as connection:
                    return work(connection)
            except sa.exc.IntegrityError:
                raise
            except (StoreError, sa.exc.SQLAlchemyError, UnicodeError, sqlite3.Error) as error:
                collisions += collided(error)
                away = self._is_open and is_lost(error) and left_s > 0
                if not away and not (collided(error) and collisions < _COLLISIONS):
                    raise self._ours(error, patience_s) from None
            time.sleep(next(pauses))

    @contextmanager
    def _once(self, *, write: bool, look_up_s: float) -> Iterator[sa.Connection]:
        if self._closed:
            msg = "the store is closed"
            raise StoreError(msg)
        if not self._is_open:
            self._open()
        mine: Mark | None = None
        try:
            with self._begun(write=write) as connection:
                yield connection
                if write and not self.is_sqlite:
                    mine = mark(connection)
        except sa.exc.DBAPIError as error:
            # After the mark there is only the commit.
            if mine is None or not is_lost(error) or not self._look_up(mine, look_up_s):
                raise

    @contextmanager
    def _begun(self, *, write: bool) -> Iterator[sa.Connection]:
        with self._engine.connect() as plain:
            connection = plain.execution_options(write=write)
            with connection.begin():
                yield connection

    def _open(self) -> None:
        with self._opening:
            if not self._is_open:
                with self._begun(write=True) as connection:
                    prepare(connection)
                self._is_open = True

    def _look_up(self, given: Mark, within_s: float) -> bool:
        until = time.monotonic() + within_s
        pauses = _pauses()
        while True:
            try:
                with self._begun(write=True) as connection:
                    return is_committed(connection, given)
            except sa.exc.SQLAlchemyError as error:
                if time.monotonic() > until:
                    msg = (
                        "the connection was lost during a commit and could not be made again for "
                        f"{within_s:.3g} s, so it is not known whether that is stored: "
                        f"{reason(error)}"
                    )
                    raise StoreError(msg) from None
            time.sleep(next(pauses))

    def _ours(self, error: Exception, waited_s: float = 0.0) -> StoreError:
        if isinstance(error, StoreError):
            return self.fail(str(error))
        if not is_lost(error):
            return self.fail(reason(error))
        waited = f" (waited {waited_s:g} s)" if waited_s and self._is_open else ""
        away = self.fail(f"the server cannot be reached{waited}: {reason(error)}")
        return StoreAwayError(str(away))

    def fail(self, reason: str) -> StoreError:
        """The error with the store's name and without its secrets."""
        for secret in self._secrets:
            reason = reason.replace(secret, "***")
        return StoreError(reason if reason.startswith(self.name) else f"{self.name}: {reason}")

    def close(self) -> None:
        """Closes every connection."""
        self._closed = True
        self._engine.dispose()


def _pauses() -> Iterator[float]:
    """Seconds, longer and longer; not the same ones for two that were in each other's way."""
    longest_s = _FIRST_PAUSE_S
    while True:
        yield longest_s * (1 + random.random()) / 2  # noqa: S311  no secret is drawn
        longest_s = min(2 * longest_s, _LONGEST_PAUSE_S)
