"""Client keys in `keys.json`: the gateway's own, or a copy of those that it shares with others."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import ConfigError, StoreError
from fusionfactory.gateway.access.key import Key, check_name, new_key
from fusionfactory.gateway.access.meters import Meters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Unpack

    from fusionfactory.gateway.access.key import Limits
    from fusionfactory.gateway.access.shared_keys import SharedKeys

__all__ = ["KeyFile", "Stamp"]

_OWNER_ONLY = 0o600

Stamp: TypeAlias = tuple[int, int, int] | None
"""Inode, time of change and size of the file: another one after every change; None without it."""


class _Content(BaseModel):
    """What the file holds; `stamp` is that of the store's keys which it is a copy of."""

    model_config = ConfigDict(extra="forbid")

    stamp: int | None = None
    keys: tuple[Key, ...] = ()


_CONTENT = TypeAdapter(_Content)


class KeyFile:
    """The keys of a gateway. Changes are atomic, and of several processes one after the other.

    Of several gateways with one store, the store has the last word: changes are made there, and the
    file is a copy, which is read without the store. `follow` renews it.

    Args:
        folder: The gateway's state; made by the first change.
        shared: The keys in the store; None where the gateway has keys of its own.
    """

    def __init__(self, folder: Path, shared: SharedKeys | None = None) -> None:
        self.path = folder / "keys.json"
        self._shared = shared

    def stamp(self) -> Stamp:
        """Changes whenever the file does; cheap enough to ask for often."""
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            return None
        return facts.st_ino, facts.st_mtime_ns, facts.st_size

    def read(self) -> tuple[Key, ...]:
        """Every key, revoked ones too, in the order they were added; none without a file.

        Raises:
            ConfigError: The file cannot be read, it is malformed, or two keys have one name, number
                or hash.
        """
        return self._content().keys

    def listed(self) -> tuple[Key, ...]:
        """As `read`, but from the store where the keys are shared.

        Raises:
            ConfigError: As `read`.
            StoreError: The store cannot be reached.
        """
        return self.read() if self._shared is None else self._shared.read()[1]

    def add(self, name: str, **limits: Unpack[Limits]) -> tuple[Key, str]:
        """Makes a key; the arguments are those of `Key`.

        Returns:
            What is kept of it, and the key itself, which cannot be had again.

        Raises:
            ConfigError: The name is malformed or was used before, or the file is malformed.
            StoreError: The keys are shared, and the store cannot be reached.
        """
        check_name(name)
        if self._shared is not None:
            self._renew()
            made = self._shared.add(name, **limits)
            with suppress(StoreError):  # a gateway follows by itself; the key is told only now
                self._renew()
            return made
        with self._changing():
            there = self._own()
            if any(key.name == name for key in there):
                msg = (
                    f"there is or was a key {name!r}, and a log could not tell the two apart: take "
                    "another name"
                )
                raise ConfigError(msg, file=self.path, field="name")
            number = max((key.number for key in there), default=-1) + 1
            key, token = new_key(name, number, **limits)
            self._write(_Content(keys=(*there, key)))
        return key, token

    def revoke(self, name: str) -> Key:
        """Takes a key back; running gateways refuse it within a second. Twice is as once.

        Raises:
            ConfigError: There is no key of that name, or the file is malformed.
            StoreError: As `add`.
        """
        if self._shared is not None:
            self._renew()
            revoked = self._shared.revoke(name)
            self._renew()
            return revoked
        with self._changing():
            there = {key.name: key for key in self._own()}
            if name not in there:
                msg = f"there is no key {name!r}; known: {', '.join(there) or 'none'}"
                raise ConfigError(msg, file=self.path, field="name")
            if there[name].revoked is None:
                there[name] = there[name].taken_back()
                self._write(_Content(keys=tuple(there.values())))
        return there[name]

    def follow(self) -> bool:
        """Makes the file a copy of the store's keys, if it is none yet or they have changed.

        Of a gateway that has keys of its own, it leaves the file as it is.

        Keys that the gateway had before it shared any become the store's, too, with what they have
        used.

        Returns:
            Whether anything changed.

        Raises:
            ConfigError: The file is malformed, or a key of the same name as one in the store.
            StoreError: The store cannot be reached.
        """
        if self._shared is None:
            return False
        stamp = self._shared.stamp()
        if self._content().stamp == stamp:
            return False
        with self._changing():
            mine = self._content()
            if mine.keys and (mine.stamp is None or not stamp):
                moved = self._shared.take_in(mine.keys)
                if moved:
                    Meters(self.path.parent).move(moved)
            stamp, keys = self._shared.read()
            self._write(_Content(stamp=stamp, keys=keys))
        return True

    def _renew(self) -> None:
        """Follows the store where there is a gateway, and not where somebody just changes keys."""
        if self.path.parent.is_dir():
            self.follow()

    def _own(self) -> tuple[Key, ...]:
        content = self._content()
        if content.stamp is not None:
            msg = (
                "is a copy of the keys that several gateways share, and a change would be lost: "
                "name their store (`store` in the settings, or --store)"
            )
            raise ConfigError(msg, file=self.path, field="stamp")
        return content.keys

    def _content(self) -> _Content:
        try:
            content = _CONTENT.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return _Content()
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ConfigError(first["msg"], file=self.path, field=place or None) from None
        except OSError as error:  # written by another user, for instance
            msg = f"cannot be read: {error.strerror}; give it to the user that the gateway runs as"
            raise ConfigError(msg, file=self.path) from None
        for field in ("name", "number", "sha256"):
            values = [getattr(key, field) for key in content.keys]
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                msg = f"{twice!r} stands twice: every key needs its own"
                raise ConfigError(msg, file=self.path, field=field)
        return content

    def _write(self, content: _Content) -> None:
        text = content.model_dump_json(indent=1, exclude_defaults=True) + "\n"

        def write(target: Path) -> None:
            target.touch(mode=_OWNER_ONLY)
            target.write_text(text, encoding="utf-8")

        write_atomically(self.path, write)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Holds the lock of those who change the file; readers need none."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(".keys.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
