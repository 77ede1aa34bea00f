"""The versions of the gateway's router: which one answers, which ones only watch."""

from __future__ import annotations

import fcntl
import json
import secrets
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import ConfigError, RouterFileError
from fusionfactory.routers import load_router, save_router

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fusionfactory.routers import Router

__all__ = ["Stamp", "Version", "Versions"]

Stamp: TypeAlias = tuple[int, int, int]
"""Of the list on disk; another one means that it changed."""

_SCHEMA_VERSION = 1
_NEVER: Stamp = (0, 0, 0)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Version(_Part):
    """A fitted router that is kept.

    Attributes:
        id: `v3-9f1c2a`: its number, and letters that no other gateway's third version has.
        at: Unix seconds at which it was added.
        router: Name of the method.
        arms: Names of its arms, the order of its columns.
        facts: What was measured when it was added or promoted; JSON values.
    """

    id: str
    at: float
    router: str
    arms: tuple[str, ...]
    facts: dict[str, Any] = Field(default_factory=dict)


class _Book(_Part):
    """What `versions.json` holds; `promoted` is a stack, the current version last."""

    schema_version: int = _SCHEMA_VERSION
    promoted: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()
    versions: tuple[Version, ...] = ()


class Versions:
    """Fitted routers in the gateway's state folder, for any number of processes at a time.

    `routers/ID/` holds a version as `save_router` writes it, `versions.json` says which one is
    current. A change is written whole or not at all, and one process writes at a time.

    Args:
        folder: The state folder; made by the first change.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._file = self.folder / "versions.json"

    # Reading

    def stamp(self) -> Stamp:
        """Changes with every change; costs one `stat`."""
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return _NEVER
        return found.st_mtime_ns, found.st_ino, found.st_size

    @property
    def current(self) -> str | None:
        """The version that decides; None before the first promotion."""
        return next(reversed(self._read().promoted), None)

    @property
    def previous(self) -> str | None:
        """The version that `rollback` goes back to; None where there is none."""
        return next(iter(self._read().promoted[-2:-1]), None)

    @property
    def shadows(self) -> tuple[str, ...]:
        """The versions that are asked and logged but decide nothing."""
        return self._read().shadows

    def list(self) -> tuple[Version, ...]:
        """All versions, the oldest first."""
        return self._read().versions

    def find(self, name: str) -> Version:
        """The version of that id, or of its number alone: `v3`.

        Raises:
            ConfigError: There is none.
        """
        return _find(self._read(), name, self._file)

    def load(self, name: str, *, network: bool = False) -> Router:
        """The router of a version.

        Args:
            name: Its id, or its number alone.
            network: Whether its encoder may send texts to the endpoint that it names.

        Raises:
            ConfigError: There is no such version.
            RouterFileError: Its files are missing or damaged.
        """
        return load_router(self._place(self.find(name).id), network=network)

    # Changing

    def add(self, router: Router, facts: Mapping[str, Any] | None = None) -> str:
        """Keeps a fitted router; nothing is decided by it yet.

        Args:
            router: Fitted.
            facts: What is known of it; JSON values without NaN.

        Returns:
            The id of the version.

        Raises:
            NotFittedError: Before `fit`.
        """
        router.check_fitted()
        with self._locked() as book:
            name = f"v{len(book.versions) + 1}-{secrets.token_hex(3)}"
            save_router(router, self._place(name))
            made = Version(
                id=name,
                at=time.time(),
                router=router.name,
                arms=tuple(arm.name for arm in router.arms_),
                facts=dict(facts or {}),
            )
            self._write(book.model_copy(update={"versions": (*book.versions, made)}))
        return name

    def promote(self, name: str) -> str:
        """Lets a version decide, and stops its shadowing.

        Returns:
            Its id.

        Raises:
            ConfigError: There is no such version.
            RouterFileError: Its files are missing or damaged.
        """
        with self._locked() as book:
            found = _find(book, name, self._file).id
            load_router(self._place(found), network=True)
            if book.promoted[-1:] == (found,):
                return found
            shadows = tuple(item for item in book.shadows if item != found)
            promoted = (*book.promoted, found)
            self._write(book.model_copy(update={"promoted": promoted, "shadows": shadows}))
        return found

    def rollback(self) -> str:
        """Lets the version decide that did before the current one.

        Returns:
            Its id.

        Raises:
            ConfigError: No version was current before.
        """
        with self._locked() as book:
            if len(book.promoted) < 2:
                msg = "there is no earlier version to go back to: promote another one"
                raise ConfigError(msg, file=self._file, field="promoted")
            self._write(book.model_copy(update={"promoted": book.promoted[:-1]}))
        return book.promoted[-2]

    def shadow(self, name: str, *, on: bool = True) -> str:
        """Lets a version watch, or stops it.

        Returns:
            Its id.

        Raises:
            ConfigError: There is no such version, or it is the one that decides.
        """
        with self._locked() as book:
            found = _find(book, name, self._file).id
            if on and book.promoted[-1:] == (found,):
                msg = f"{found} decides already: it cannot watch itself"
                raise ConfigError(msg, file=self._file, field="shadows")
            others = tuple(item for item in book.shadows if item != found)
            self._write(book.model_copy(update={"shadows": (*others, found) if on else others}))
        return found

    def note(self, name: str, facts: Mapping[str, Any]) -> None:
        """Adds to what is known of a version.

        Raises:
            ConfigError: There is no such version.
        """
        with self._locked() as book:
            found = _find(book, name, self._file)
            known = found.model_copy(update={"facts": {**found.facts, **facts}})
            versions = tuple(known if item.id == known.id else item for item in book.versions)
            self._write(book.model_copy(update={"versions": versions}))

    # Files

    def _place(self, name: str) -> Path:
        return self.folder / "routers" / name

    def _read(self) -> _Book:
        try:
            text = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return _Book()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            msg = f"cannot be read: {why}"
            raise RouterFileError(msg, file=self._file) from None
        try:
            book = _Book.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise RouterFileError(first["msg"], file=self._file, field=place or None) from None
        if book.schema_version != _SCHEMA_VERSION:
            msg = (
                f"schema version {book.schema_version}, this version of fusionfactory reads "
                f"{_SCHEMA_VERSION}: upgrade fusionfactory"
            )
            raise RouterFileError(msg, file=self._file, field="schema_version")
        return book

    def _write(self, book: _Book) -> None:
        text = json.dumps(book.model_dump(mode="json"), indent=1, allow_nan=False)
        write_atomically(self._file, lambda path: path.write_text(text + "\n", encoding="utf-8"))

    @contextmanager
    def _locked(self) -> Iterator[_Book]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "versions.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read()


def _find(book: _Book, name: str, file: Path) -> Version:
    for version in book.versions:
        if name in {version.id, version.id.partition("-")[0]}:
            return version
    known = ", ".join(version.id for version in book.versions) or "none"
    msg = f"there is no version {name!r}; known: {known}"
    raise ConfigError(msg, file=file, field="versions")
