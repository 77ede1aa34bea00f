"""What a gathered folder says of itself: its arms, tasks, sizes and where it came from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import TableError
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MANIFEST", "Manifest", "PartFacts"]

MANIFEST = "gathered.json"
"""The file that makes a folder a gathered one; written last."""
_VERSION = 1


@dataclass(frozen=True)
class PartFacts:
    """Of one part.

    Attributes:
        number: Of its files.
        queries: It holds.
        outcomes: It holds.
        text_bytes: Of its queries' texts, each once.
        known: Columns that carry anything: of `CELLS`, and `response`.
        tasks: Of its queries; an absent name is the empty string.
    """

    number: int
    queries: int
    outcomes: int
    text_bytes: int
    known: tuple[str, ...]
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """From JSON values."""
        lists = {name: tuple(content[name]) for name in ("known", "tasks")}
        return cls(**{**content, **lists})


@dataclass(frozen=True)
class Manifest:
    """Of a gathered folder.

    Attributes:
        source: What was gathered, as it was named.
        key: Of the source files' names, sizes and times: another key means another source.
        cost_basis: See `OutcomeTable`.
        arms: In order of their first rows.
        parts: In order of their queries' digests; none is empty.
    """

    source: str
    key: str
    cost_basis: str
    arms: tuple[Arm, ...]
    parts: tuple[PartFacts, ...]

    def write(self, folder: Path) -> None:
        """Marks the folder as gathered."""
        content = {"version": _VERSION, **asdict(self)}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        write_atomically(folder / MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """What the folder says.

        Raises:
            TableError: It says nothing, or is of another version.
        """
        path = folder / MANIFEST
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("version") != _VERSION:
                msg = "was gathered by another version of this package: delete and gather again"
                raise TableError(msg, file=folder)
            arms = tuple(Arm(**arm) for arm in content.pop("arms"))
            parts = tuple(map(PartFacts.of, content.pop("parts")))
            return cls(arms=arms, parts=parts, **content)
        except FileNotFoundError:
            msg = "is no gathered folder: LargeTable.scan(source, scratch=folder) makes one"
            raise TableError(msg, file=folder) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            msg = f"is damaged ({error}): delete the folder and gather again"
            raise TableError(msg, file=path) from None
