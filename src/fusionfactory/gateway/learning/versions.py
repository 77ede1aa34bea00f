"""The versions of the gateway's router: which one answers, which ones only watch."""

from __future__ import annotations

import fcntl
import json
import secrets
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import RouterFileError
from fusionfactory.gateway.learning.book import SCHEMA_VERSION, Book, Change, Version
from fusionfactory.routers import load_router, save_router
from fusionfactory.sealed import STAGING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fusionfactory.gateway.learning.shared_book import SharedBook
    from fusionfactory.routers import Router

__all__ = ["Stamp", "Versions"]

Stamp: TypeAlias = tuple[int, int, int]
"""Of the list on disk; another one means that it changed."""

_NEVER: Stamp = (0, 0, 0)


class Versions:
    """Fitted routers in the gateway's state folder, for any number of processes at a time.

    `routers/ID/` holds a version as `save_router` writes it, `versions.json` says which one is
    current. A change is written whole or not at all, and one process writes at a time.

    Of several gateways with one store, the store has the last word: changes are made there, and
    the folder is a copy, which is read without the store. `follow` renews it.

    Args:
        folder: The state folder; made by the first change.
        shared: The list in the store; None where the folder has a list of its own.
    """

    def __init__(self, folder: str | Path, shared: SharedBook | None = None) -> None:
        self.folder = Path(folder)
        self._file = self.folder / "versions.json"
        self._shared = shared

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
        return self._read().current

    @property
    def previous(self) -> str | None:
        """The version that `rollback` goes back to; None where there is none."""
        return self._read().previous

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
            ConfigError: There is none, or more than one has the number.
        """
        return self._read().find(name, self._file)

    def load(self, name: str, *, network: bool = False) -> Router:
        """The router of a version; its files are fetched from the store where they are not here.

        Args:
            name: Its id, or its number alone.
            network: Whether its encoder may send texts to the endpoint that it names.

        Raises:
            ConfigError: There is no such version.
            RouterFileError: Its files are missing or damaged.
            StoreError: They are in the store alone, and it does not have them or cannot be read.
        """
        found = self.find(name).id
        self._fetch(found)
        return load_router(self._place(found), network=network)

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
            StoreError: The store cannot be written.
        """
        with self._adding(router, facts) as (change, made):
            change.book = change.book.add(made)
        return made.id

    def begin(self, router: Router, facts: Mapping[str, Any] | None = None) -> bool:
        """Keeps a fitted router and lets it decide, where none does.

        Of gateways that begin at once, one does so. Arguments and errors are those of `add`.

        Returns:
            Whether it was kept.
        """
        with self._adding(router, facts) as (change, made):
            if change.book.current is not None:
                return False
            change.book = change.book.add(made).promote(made.id)
        return True

    def promote(self, name: str) -> str:
        """Lets a version decide, and stops its shadowing.

        Returns:
            Its id.

        Raises:
            ConfigError: There is no such version.
            RouterFileError: Its files are missing or damaged.
            StoreError: The store cannot be written.
        """
        self.follow()
        found = self.find(name).id
        self.load(found, network=True)
        with self._changing() as change:
            change.book = change.book.promote(found)
        return found

    def rollback(self) -> str:
        """Lets the version decide that did before the current one.

        Returns:
            Its id.

        Raises:
            ConfigError: No version was current before.
            StoreError: The store cannot be written.
        """
        with self._changing() as change:
            change.book = change.book.roll_back(self._file)
        return change.book.promoted[-1]

    def shadow(self, name: str, *, on: bool = True) -> str:
        """Lets a version watch, or stops it.

        Returns:
            Its id.

        Raises:
            ConfigError: There is no such version, or it is the one that decides.
            StoreError: The store cannot be written.
        """
        with self._changing() as change:
            found = change.book.find(name, self._file).id
            change.book = change.book.shadow(found, self._file, on=on)
        return found

    def note(self, name: str, facts: Mapping[str, Any]) -> None:
        """Adds to what is known of a version.

        Raises:
            ConfigError: There is no such version.
            StoreError: The store cannot be written.
        """
        with self._changing() as change:
            change.book = change.book.note(change.book.find(name, self._file), facts)

    # Several gateways

    def follow(self) -> bool:
        """Makes the folder a copy of what the store says; costs one small query mostly.

        What only the folder has goes into the store first: all of it where the store has no list,
        as when gateways begin to share one; else as versions by which nothing is decided.

        Returns:
            Whether anything was new.

        Raises:
            RouterFileError: The folder's list is damaged.
            StoreError: The store cannot be used.
        """
        if self._shared is None:
            return False
        mine = self._read()
        stamp = self._shared.stamp()
        if mine.stamp == stamp and (stamp is not None or not mine.versions):
            return False
        theirs = self._shared.read()
        if not _ids(mine) <= _ids(theirs):
            self._hand_over(mine, self._shared)
            theirs = self._shared.read()
        for version in {*theirs.promoted[-2:], *theirs.shadows}:
            self._fetch(version)
        with self._locked() as now:
            # Another process may have copied a later list meanwhile.
            if now.stamp == mine.stamp:
                self._write(theirs)
        return True

    def _hand_over(self, mine: Book, shared: SharedBook) -> None:
        with shared.changing() as change:
            theirs = change.book
            for version in mine.versions:
                if version.id in _ids(theirs) or not self._place(version.id).is_dir():
                    continue
                change.files[version.id] = _contents(self._place(version.id))
                change.book = change.book.add(version)
            if not theirs.versions:
                taken = _ids(change.book)
                roles = {
                    "promoted": tuple(one for one in mine.promoted if one in taken),
                    "shadows": tuple(one for one in mine.shadows if one in taken),
                }
                change.book = change.book.model_copy(update=roles)

    def _fetch(self, version: str) -> None:
        """Puts a version's files into the folder, whole or not at all, if they are not there."""
        place = self._place(version)
        if self._shared is None or place.is_dir():
            return
        files = self._shared.files(version)
        with self._staging() as staging:
            for name, content in files.items():
                (staging / Path(name).name).write_bytes(content)
            _move(staging, place)

    # Files

    def _place(self, name: str) -> Path:
        return self.folder / "routers" / name

    def _read(self) -> Book:
        try:
            text = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Book()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            msg = f"cannot be read: {why}"
            raise RouterFileError(msg, file=self._file) from None
        try:
            book = Book.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise RouterFileError(first["msg"], file=self._file, field=place or None) from None
        if book.schema_version != SCHEMA_VERSION:
            msg = (
                f"schema version {book.schema_version}, this version of fusionfactory reads "
                f"{SCHEMA_VERSION}: upgrade fusionfactory"
            )
            raise RouterFileError(msg, file=self._file, field="schema_version")
        return book

    def _write(self, book: Book) -> None:
        content = book.model_dump(mode="json", exclude_none=False)
        if book.stamp is None:
            del content["stamp"]
        text = json.dumps(content, indent=1, allow_nan=False)
        write_atomically(self._file, lambda path: path.write_text(text + "\n", encoding="utf-8"))

    @contextmanager
    def _adding(
        self, router: Router, facts: Mapping[str, Any] | None
    ) -> Iterator[tuple[Change, Version]]:
        """A change that may add a version, its files written beforehand."""
        router.check_fitted()
        with self._staging() as staging:
            save_router(router, staging / "router")
            with self._changing() as change:
                made = Version(
                    id=f"{change.book.next_number}-{secrets.token_hex(3)}",
                    at=time.time(),
                    router=router.name,
                    arms=tuple(arm.name for arm in router.arms_),
                    facts=dict(facts or {}),
                )
                yield change, made
                if made in change.book.versions:
                    change.files[made.id] = _contents(staging / "router")
                    _move(staging / "router", self._place(made.id))

    @contextmanager
    def _changing(self) -> Iterator[Change]:
        """A change of the list, where it has its home."""
        if self._shared is not None:
            self.follow()
            with self._shared.changing() as change:
                yield change
            self.follow()
            return
        with self._locked() as book:
            change = Change(book)
            yield change
            if change.book != book:
                self._write(change.book)

    @contextmanager
    def _locked(self) -> Iterator[Book]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "versions.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read()

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        parent = self._place("")
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=parent, prefix=STAGING))
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _ids(book: Book) -> set[str]:
    return {version.id for version in book.versions}


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _move(made: Path, place: Path) -> None:
    made.chmod(0o755)
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():  # or another process had the same files there first
            raise
