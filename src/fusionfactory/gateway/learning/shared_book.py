"""The router's versions in the store, for all gateways that share it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

import sqlalchemy as sa
from pydantic import ValidationError

from fusionfactory.errors import StoreError
from fusionfactory.gateway.learning.book import SCHEMA_VERSION, Book, Change
from fusionfactory.gateway.shared import is_shared
from fusionfactory.store.shared_versions import router_book, router_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fusionfactory.config import Config
    from fusionfactory.store import Store

__all__ = ["SharedBook", "shared_book"]

_LOCK = 7_246_840  # any number but the others': whoever changes the list in PostgreSQL holds it
_ROW = 1


class SharedBook:
    """Reads and changes the list of versions; one gateway changes it at a time.

    Args:
        store: Of the gateways.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def stamp(self) -> int | None:
        """Another one means that the list changed; None where there is none yet.

        Raises:
            StoreError: The store cannot be read.
        """
        select = sa.select(router_book.c.stamp).where(router_book.c.no == _ROW)
        with self._store.transaction() as connection:
            found = connection.execute(select).scalar()
        return None if found is None else int(found)

    def read(self) -> Book:
        """The list, with its stamp; an empty one where there is none yet.

        Raises:
            StoreError: The store cannot be read, or holds a list of a newer version.
        """
        with self._store.transaction() as connection:
            return _read(connection)

    def files(self, version: str) -> dict[str, bytes]:
        """Name to content of a version's files.

        Raises:
            StoreError: They are missing or damaged, or the store cannot be read.
        """
        select = sa.select(router_files).where(router_files.c.version == version)
        with self._store.transaction() as connection:
            rows = connection.execute(select).mappings().all()
        if not rows:
            msg = f"the files of version {version} are not in the store; add that router again"
            raise StoreError(msg)
        for row in rows:
            if sha256(row["content"]).hexdigest() != row["sha256"]:
                msg = f"{row['path']} of version {version} is damaged in the store: its checksum "
                msg += "does not match; add that router again"
                raise StoreError(msg)
        return {row["path"]: row["content"] for row in rows}

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """A change: what the block leaves is written at its end, whole or not at all.

        Raises:
            StoreError: The store cannot be written, or holds a list of a newer version.
        """
        with self._store.transaction(write=True) as connection:
            if not self._store.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            before = _read(connection)
            change = Change(before)
            yield change
            if change.book != before or before.stamp is None:
                _write(connection, change.book)
            for version, files in change.files.items():
                connection.execute(router_files.insert(), _rows(version, files))


def shared_book(config: Config, store: Store) -> SharedBook | None:
    """The list of the gateways that share the store; None where each has its own.

    Raises:
        ConfigError: The settings want what the store cannot do.
    """
    return SharedBook(store) if is_shared(config) else None


def _read(connection: sa.Connection) -> Book:
    select = sa.select(router_book.c.stamp, router_book.c.content).where(router_book.c.no == _ROW)
    row = connection.execute(select).first()
    if row is None:
        return Book()
    try:
        book = Book.model_validate_json(row.content)
    except ValidationError as error:
        msg = f"the list of router versions cannot be read: {error.errors()[0]['msg']}"
        raise StoreError(msg) from None
    if book.schema_version != SCHEMA_VERSION:
        msg = (
            f"the list of router versions has schema version {book.schema_version}, this version "
            f"of fusionfactory reads {SCHEMA_VERSION}: upgrade fusionfactory"
        )
        raise StoreError(msg)
    return book.model_copy(update={"stamp": int(row.stamp)})


def _write(connection: sa.Connection, book: Book) -> None:
    # A time, so that the list of another database has another stamp; growing, whatever clocks say.
    stamp = max((book.stamp or 0) + 1, time.time_ns())
    values = {"stamp": stamp, "content": book.model_dump_json(exclude={"stamp"})}
    if book.stamp is None:
        connection.execute(router_book.insert().values(no=_ROW, **values))
        return
    connection.execute(router_book.update().where(router_book.c.no == _ROW).values(values))


def _rows(version: str, files: Mapping[str, bytes]) -> list[dict[str, str | bytes]]:
    return [
        {
            "version": version,
            "path": path,
            "sha256": sha256(content).hexdigest(),
            "content": content,
        }
        for path, content in files.items()
    ]
