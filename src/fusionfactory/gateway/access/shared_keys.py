"""Client keys in the store, for all gateways that share it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from pydantic import ValidationError

from fusionfactory.errors import ConfigError, StoreError
from fusionfactory.gateway.access.key import Key, check_name, new_key
from fusionfactory.gateway.access.patience import be_patient
from fusionfactory.gateway.shared import is_shared
from fusionfactory.store.shared_access import client_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Unpack

    from fusionfactory.config import Config
    from fusionfactory.gateway.access.key import Limits
    from fusionfactory.store import Store

__all__ = ["SharedKeys", "shared_keys"]

_LOCK = 7_246_836  # any number but the others': whoever changes keys in PostgreSQL holds this lock


class SharedKeys:
    """Reads and changes the keys of all gateways; one process changes them at a time.

    Args:
        store: Of the gateways, in PostgreSQL.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def stamp(self) -> int:
        """Another one after every change; 0 before the first key.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._store.transaction() as connection:
            be_patient(connection)
            return _stamp(connection)

    def read(self) -> tuple[int, tuple[Key, ...]]:
        """The stamp, and every key in the order they were added.

        Raises:
            StoreError: The store cannot be read, or a newer version wrote its keys.
        """
        with self._store.transaction() as connection:
            be_patient(connection)
            rows = _rows(connection)
        return max((row.changed for row in rows), default=0), tuple(map(_key, rows))

    def add(self, name: str, **limits: Unpack[Limits]) -> tuple[Key, str]:
        """Makes a key; the arguments are those of `Key`.

        Returns:
            What is kept of it, and the key itself, which cannot be had again.

        Raises:
            ConfigError: The name is malformed or was used before.
            StoreError: The store cannot be written.
        """
        check_name(name)
        with self._changing() as connection:
            there = _rows(connection)
            if any(row.name == name for row in there):
                msg = (
                    f"there is or was a key {name!r}, and a log could not tell the two apart: take "
                    "another name"
                )
                raise ConfigError(msg, field="name")
            number = max((row.number for row in there), default=-1) + 1
            key, token = new_key(name, number, **limits)
            _put(connection, key)
        return key, token

    def revoke(self, name: str) -> Key:
        """Takes a key back. Twice is as once.

        Raises:
            ConfigError: There is no key of that name.
            StoreError: The store cannot be written.
        """
        with self._changing() as connection:
            there = {row.name: _key(row) for row in _rows(connection)}
            if name not in there:
                msg = f"there is no key {name!r}; known: {', '.join(there) or 'none'}"
                raise ConfigError(msg, field="name")
            revoked = there[name].taken_back()
            if revoked is not there[name]:
                _put(connection, revoked)
        return revoked

    def take_in(self, keys: Sequence[Key]) -> dict[int, int]:
        """Adds keys that a gateway had for itself; a key that is here stays, revoked if either is.

        Args:
            keys: As they are in its file.

        Returns:
            Numbers of keys that have another one here, with that.

        Raises:
            ConfigError: Another key here has the name of one of them.
            StoreError: The store cannot be written.
        """
        moved: dict[int, int] = {}
        with self._changing() as connection:
            there = {row.name: _key(row) for row in _rows(connection)}
            taken = {key.number for key in there.values()}
            for key in keys:
                known = there.get(key.name)
                if known is None:
                    number = key.number if key.number not in taken else max(taken) + 1
                    taken.add(number)
                    _put(connection, key.model_copy(update={"number": number}))
                elif known.sha256 != key.sha256:
                    msg = (
                        f"another key {key.name!r} is among those that the gateways share: rename "
                        "it in keys.json, or delete it there to have its holder use the other one"
                    )
                    raise ConfigError(msg, field="name")
                else:
                    number = known.number
                    if key.revoked is not None and known.revoked is None:
                        _put(connection, known.model_copy(update={"revoked": key.revoked}))
                if number != key.number:
                    moved[key.number] = number
        return moved

    @contextmanager
    def _changing(self) -> Iterator[sa.Connection]:
        with self._store.transaction(write=True) as connection:
            be_patient(connection)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield connection


def shared_keys(config: Config, store: Store) -> SharedKeys | None:
    """The keys of the gateways that share the store; None where each has its own.

    Raises:
        ConfigError: The settings want what the store cannot do.
    """
    return SharedKeys(store) if is_shared(config) else None


def _stamp(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.max(client_keys.c.changed))).scalar() or 0


def _rows(connection: sa.Connection) -> Sequence[sa.Row[tuple[int, str, str, str, int]]]:
    return connection.execute(sa.select(client_keys).order_by(client_keys.c.number)).all()


def _key(row: sa.Row[tuple[int, str, str, str, int]]) -> Key:
    try:
        return Key.model_validate_json(row.content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        msg = (
            f"the key {row.name!r} in the store cannot be read ({place}: {first['msg']}): "
            "upgrade fusionfactory"
        )
        raise StoreError(msg) from None


def _put(connection: sa.Connection, key: Key) -> None:
    """Writes a key with the next stamp, under the lock of those who change keys.

    A time, so that the keys of another database have another stamp; growing, whatever clocks say.
    """
    row = {
        "number": key.number,
        "name": key.name,
        "sha256": key.sha256,
        "content": key.model_dump_json(exclude_defaults=True),
        "changed": max(_stamp(connection) + 1, time.time_ns()),
    }
    connection.execute(client_keys.delete().where(client_keys.c.number == key.number))
    connection.execute(client_keys.insert(), row)
