"""Client keys in `keys.json`: what a key may do, and its hash; the key itself is nowhere."""

from __future__ import annotations

import fcntl
import re
import secrets
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["PREFIX", "Key", "KeyFile", "Stamp"]

PREFIX = "ff-"
_BYTES = 32
_SHOWN = len(PREFIX) + 4
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_OWNER_ONLY = 0o600

Stamp: TypeAlias = tuple[int, int, int] | None
"""Inode, time of change and size of the file: another one after every change; None without it."""


class Key(BaseModel):
    """What is kept of a client's key.

    A plain SHA-256 is enough at rest: a key is 256 random bits, which nobody can guess.

    Attributes:
        name: In logs and reports; a name is never used again, so that a log stays true.
        sha256: Of the key.
        start: Its first characters, to tell keys apart.
        number: Of its counters in shared memory; never used again.
        created: When.
        expires: From when it is no longer good; None for never.
        revoked: When it was taken back; None for not.
        admin: Whether it may see every client's decisions, and promote routers.
        models: Models it may use, under any of their strategies; None for all.
        usd_per_day: Budget per day, in UTC; None for no limit.
        usd_per_month: Budget per calendar month, in UTC.
        rpm: Requests per minute.
        tpm: Tokens per minute.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=f"^{_NAME}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    start: str = ""
    number: int = Field(ge=0)
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    admin: bool = False
    models: tuple[str, ...] | None = None
    usd_per_day: float | None = Field(default=None, gt=0)
    usd_per_month: float | None = Field(default=None, gt=0)
    rpm: int | None = Field(default=None, ge=1)
    tpm: int | None = Field(default=None, ge=1)

    def state(self, at: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= at else "active"


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: tuple[Key, ...] = ()


_CONTENT = TypeAdapter(_Content)


class KeyFile:
    """The keys of a gateway. Changes are atomic, and of several processes one after the other.

    Args:
        folder: The gateway's state; made by the first change.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"

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
        try:
            keys = _CONTENT.validate_json(self.path.read_bytes()).keys
        except FileNotFoundError:
            return ()
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ConfigError(first["msg"], file=self.path, field=place or None) from None
        except OSError as error:  # written by another user, for instance
            msg = f"cannot be read: {error.strerror}; give it to the user that the gateway runs as"
            raise ConfigError(msg, file=self.path) from None
        for field in ("name", "number", "sha256"):
            values = [getattr(key, field) for key in keys]
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                msg = f"{twice!r} stands twice: every key needs its own"
                raise ConfigError(msg, file=self.path, field=field)
        return keys

    def add(
        self,
        name: str,
        *,
        models: Sequence[str] | None = None,
        usd_per_day: float | None = None,
        usd_per_month: float | None = None,
        rpm: int | None = None,
        tpm: int | None = None,
        expires: datetime | None = None,
        admin: bool = False,
    ) -> tuple[Key, str]:
        """Makes a key; the arguments are those of `Key`.

        Returns:
            What is kept of it, and the key itself, which cannot be had again.

        Raises:
            ConfigError: The name is malformed or was used before, or the file is malformed.
        """
        if not re.fullmatch(_NAME, name):
            msg = (
                f"{name!r} is no name of a key: up to 64 letters, digits, '.', '_' and '-', the "
                "first a letter or digit"
            )
            raise ConfigError(msg, field="name")
        token = PREFIX + secrets.token_urlsafe(_BYTES)
        with self._changing():
            there = self.read()
            if any(key.name == name for key in there):
                msg = (
                    f"there is or was a key {name!r}, and a log could not tell the two apart: take "
                    "another name"
                )
                raise ConfigError(msg, file=self.path, field="name")
            key = Key(
                name=name,
                sha256=sha256(token.encode()).hexdigest(),
                start=token[:_SHOWN],
                number=max((key.number for key in there), default=-1) + 1,
                created=datetime.now(UTC),
                expires=expires,
                admin=admin,
                models=None if models is None else tuple(models),
                usd_per_day=usd_per_day,
                usd_per_month=usd_per_month,
                rpm=rpm,
                tpm=tpm,
            )
            self._write((*there, key))
        return key, token

    def revoke(self, name: str) -> Key:
        """Takes a key back; running gateways refuse it within a second. Twice is as once.

        Raises:
            ConfigError: There is no key of that name, or the file is malformed.
        """
        with self._changing():
            there = {key.name: key for key in self.read()}
            if name not in there:
                msg = f"there is no key {name!r}; known: {', '.join(there) or 'none'}"
                raise ConfigError(msg, file=self.path, field="name")
            if there[name].revoked is None:
                there[name] = there[name].model_copy(update={"revoked": datetime.now(UTC)})
                self._write(tuple(there.values()))
        return there[name]

    def _write(self, keys: tuple[Key, ...]) -> None:
        text = _Content(keys=keys).model_dump_json(indent=1, exclude_defaults=True) + "\n"

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
