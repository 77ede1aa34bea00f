"""How a bank came to be: what each build was told and did, kept in the bank as `build.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fusionfactory.errors import ThoughtError
from fusionfactory.jsonl import read_json, write_json
from fusionfactory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["BUILD", "BuildRecord", "BuildSummary", "read_record"]

BUILD = "build.json"


@dataclass(frozen=True)
class BuildSummary:
    """What a build did.

    Attributes:
        writer: Who wrote: an arm, or `extractive`.
        prompt_version: Of its prompt or of the extractive writer.
        queries: That templates are wanted for: of the split and the tasks asked for.
        unanswered: Those of them without a right answer to write from.
        held: Selections whose notes the bank held already.
        written: Notes added to the bank.
        again: Those of them that were asked for twice, for the first gave something away.
        cut: Those of them from which sentences that still gave something away are left out.
        leaky: Notes dropped because they gave their question's answer away.
        kinds: What the dropped notes gave away, kind to notes; a note may count under several.
        unusable: Replies or answers in which there was no note.
        failed: Calls that failed.
        left: Selections whose calls were not made; the next build goes on there.
        templates: In the bank now.
        merged: Notes of the bank that near-duplicates stand for.
        tasks: Task to its templates in the bank.
        spent_usd: Cost of this run, as far as costs are known.
        unpriced: Calls of this run without a known cost.
        errors: What failed calls said to how many said it.
        stopped: Why calls are left, a sentence each.
        seconds: From start to end.
    """

    writer: str
    prompt_version: str
    queries: int
    unanswered: int
    held: int
    written: int = 0
    again: int = 0
    cut: int = 0
    leaky: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    unusable: int = 0
    failed: int = 0
    left: int = 0
    templates: int = 0
    merged: int = 0
    tasks: Mapping[str, int] = field(default_factory=dict)
    spent_usd: float = 0.0
    unpriced: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    seconds: float = 0.0


class BuildRecord(BaseModel):
    """The content of `build.json`.

    Attributes:
        writer: Who wrote the bank: a bank has one writer, whom a comparison can name.
        runs: The builds, the oldest first: when, with which version, settings and summary.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    writer: str = Field(min_length=1)
    runs: tuple[dict[str, Any], ...] = ()

    def add(self, settings: Mapping[str, Any], summary: BuildSummary) -> BuildRecord:
        """The record with one more build."""
        run = {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": __version__,
            "settings": dict(settings),
            "summary": asdict(summary),
        }
        return self.model_copy(update={"runs": (*self.runs, run)})

    def save(self, directory: Path) -> None:
        """Writes the file, whole or not at all."""
        write_json(self.model_dump(), directory / BUILD)


def read_record(directory: Path, writer: str) -> BuildRecord:
    """The record of the bank in a directory; a new one where there is no bank.

    Raises:
        ThoughtError: The file is damaged, or the bank was written by another writer.
    """
    path = directory / BUILD
    if not path.exists():
        return BuildRecord(writer=writer)
    record = read_json(path, BuildRecord, ThoughtError, "the bank has no record of its builds")
    if record.writer != writer:
        msg = (
            f"the bank was written by {record.writer!r}, not {writer!r}: build into another "
            "directory, so that templates of two writers are not mixed"
        )
        raise ThoughtError(msg, file=path, field="writer")
    return record
