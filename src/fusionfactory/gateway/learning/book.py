"""The list of a router's versions, as `versions.json` or the store holds it, and its changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["SCHEMA_VERSION", "Book", "Change", "Version"]

SCHEMA_VERSION = 1


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

    id: str = Field(pattern=r"^[\w-]+$")
    at: float
    router: str
    arms: tuple[str, ...]
    facts: dict[str, Any] = Field(default_factory=dict)

    @property
    def number(self) -> str:
        """`v3`."""
        return self.id.partition("-")[0]


class Book(_Part):
    """The versions.

    Attributes:
        schema_version: Of this form.
        stamp: Of the store's list that this is a copy of; None where there is no such list.
        promoted: A stack, the current version last.
        shadows: Those that watch.
        versions: All of them, the oldest first.
    """

    schema_version: int = SCHEMA_VERSION
    stamp: int | None = None
    promoted: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()
    versions: tuple[Version, ...] = ()

    @property
    def current(self) -> str | None:
        """The version that decides."""
        return next(reversed(self.promoted), None)

    @property
    def previous(self) -> str | None:
        """The one that decided before it."""
        return next(iter(self.promoted[-2:-1]), None)

    @property
    def next_number(self) -> str:
        """Of the next version."""
        numbers = (version.number.removeprefix("v") for version in self.versions)
        return f"v{max((int(n) for n in numbers if n.isdecimal()), default=0) + 1}"

    def find(self, name: str, file: Path) -> Version:
        """The version of that id, or of its number alone: `v3`.

        Args:
            name: Id or number.
            file: For messages.

        Raises:
            ConfigError: There is none, or more than one has the number.
        """
        found = [version for version in self.versions if name in {version.id, version.number}]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(version.id for version in found)
            msg = f"{name!r} may be any of {names}, which came from several gateways: give the id"
        else:
            known = ", ".join(version.id for version in self.versions) or "none"
            msg = f"there is no version {name!r}; known: {known}"
        raise ConfigError(msg, file=file, field="versions")

    def add(self, version: Version) -> Book:
        """With a version more, by which nothing is decided."""
        return self.model_copy(update={"versions": (*self.versions, version)})

    def promote(self, id_: str) -> Book:
        """With a version deciding that does not watch any more; itself where that is so already."""
        if self.current == id_:
            return self
        shadows = tuple(item for item in self.shadows if item != id_)
        return self.model_copy(update={"promoted": (*self.promoted, id_), "shadows": shadows})

    def roll_back(self, file: Path) -> Book:
        """With the version deciding that did before.

        Raises:
            ConfigError: None did.
        """
        if self.previous is None:
            msg = "there is no earlier version to go back to: promote another one"
            raise ConfigError(msg, file=file, field="promoted")
        return self.model_copy(update={"promoted": self.promoted[:-1]})

    def shadow(self, id_: str, file: Path, *, on: bool) -> Book:
        """With a version watching or not.

        Raises:
            ConfigError: It is the one that decides.
        """
        if on and self.current == id_:
            msg = f"{id_} decides already: it cannot watch itself"
            raise ConfigError(msg, file=file, field="shadows")
        others = tuple(item for item in self.shadows if item != id_)
        return self.model_copy(update={"shadows": (*others, id_) if on else others})

    def note(self, version: Version, facts: Mapping[str, Any]) -> Book:
        """With more facts of a version."""
        known = version.model_copy(update={"facts": {**version.facts, **facts}})
        versions = tuple(known if item.id == known.id else item for item in self.versions)
        return self.model_copy(update={"versions": versions})


@dataclass
class Change:
    """A change under way, while nobody else can make one.

    Attributes:
        book: As it was, then as it is to be.
        files: Id of a new version to its files by name.
    """

    book: Book
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
