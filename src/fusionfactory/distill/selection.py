"""What a student is trained on: examples and preference pairs, and the folder that holds them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fusionfactory.errors import DistillError
from fusionfactory.jsonl import read_json, read_jsonl, write_json, write_jsonl
from fusionfactory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["EXAMPLES", "LABEL_ARM", "MANIFEST", "PAIRS", "Example", "Message", "Pair", "Selection"]

EXAMPLES = "examples.jsonl"
"""Name of the file of examples in a selection's folder."""
PAIRS = "pairs.jsonl"
"""Name of the file of preference pairs there."""
MANIFEST = "selection.json"
"""Name of the file that says how both were chosen."""
LABEL_ARM = "label"
"""Stands for an arm where the answer is the query's own target."""

_MISSING = "choose training data first, by `fusionfactory distill select`"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Message(_Part):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class _Asked(_Part):
    """What examples and pairs have in common.

    Attributes:
        query_id: Of the query in the store.
        task: Of the query.
        domain: Of the query.
        prompt: The messages that the student is asked by, the last one the user's.
    """

    query_id: str = Field(min_length=1)
    task: str | None = None
    domain: str | None = None
    prompt: tuple[Message, ...] = Field(min_length=1)


class Example(_Asked):
    """A prompt with one answer to learn.

    Attributes:
        response: What the student is to answer.
        arm: Whose answer it is; `LABEL_ARM` for the target itself.
        sample: Which repetition of the arm.
        quality: Of the answer, by the task's metric, in [0, 1].
        judge: Score of an LLM judge, in [0, 1].
        cost_usd: What the answer cost.
        rank: Place among the query's answers by the criterion, from 1.
        solved: Share of the arms asked that were right on the query, in [0, 1].
    """

    response: str = Field(min_length=1)
    arm: str = Field(min_length=1)
    sample: int = 0
    quality: float | None = None
    judge: float | None = None
    cost_usd: float | None = None
    rank: int = Field(default=1, ge=1)
    solved: float | None = None


class Pair(_Asked):
    """A prompt with an answer to prefer and one to avoid.

    Attributes:
        chosen: The better answer.
        rejected: The worse answer.
        chosen_arm: Whose it is.
        rejected_arm: Whose it is.
        chosen_sample: Which repetition.
        rejected_sample: Which repetition.
        by: Which score tells them apart.
        gap: By how much, in (0, 1].
    """

    chosen: str = Field(min_length=1)
    rejected: str = Field(min_length=1)
    chosen_arm: str
    rejected_arm: str
    chosen_sample: int = 0
    rejected_sample: int = 0
    by: Literal["performance", "llm_judge"] = "performance"
    gap: float = Field(gt=0, le=1)


class _Manifest(_Part):
    kind: Literal["selection"] = "selection"
    format: Literal[1] = 1
    version: str
    settings: dict[str, Any]
    report: dict[str, Any]
    files: dict[str, str]


@dataclass(frozen=True)
class Selection:
    """Training data with the account of how it was chosen.

    Attributes:
        examples: In the order in which they are to be written, query by query.
        pairs: Likewise.
        settings: By which they were chosen: JSON values, the criterion among them.
        report: What was taken from whom and what was rejected why: JSON values.
    """

    examples: tuple[Example, ...]
    pairs: tuple[Pair, ...]
    settings: Mapping[str, Any]
    report: Mapping[str, Any]

    @property
    def criterion(self) -> str:
        """By which the examples were chosen."""
        return str(self.settings.get("criterion", "unknown"))

    def fingerprint(self) -> str:
        """A digest of what a student would see; equal for equal data, whatever it was called."""
        told = hashlib.sha256()
        for item in (*self.examples, *self.pairs):
            told.update(item.model_dump_json().encode("utf-8", "replace"))
        return told.hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Writes the folder's files, the manifest last; each is there whole or not at all."""
        write_jsonl((example.model_dump() for example in self.examples), folder / EXAMPLES)
        write_jsonl((pair.model_dump() for pair in self.pairs), folder / PAIRS)
        manifest = _Manifest(
            version=__version__,
            settings=dict(self.settings),
            report=dict(self.report),
            files={name: _sha256(folder / name) for name in (EXAMPLES, PAIRS)},
        )
        write_json(manifest.model_dump(), folder / MANIFEST)

    @classmethod
    def load(cls, folder: Path) -> Selection:
        """Reads what `save` wrote; examples that were edited by hand are taken as they are.

        Raises:
            DistillError: A file is missing, or damaged; names file, row and field.
        """
        manifest = read_json(folder / MANIFEST, _Manifest, DistillError, _MISSING)
        examples = read_jsonl(folder / EXAMPLES, Example, DistillError, _MISSING)
        pairs = read_jsonl(folder / PAIRS, Pair, DistillError, _MISSING)
        edited = [name for name, sum in manifest.files.items() if _sha256(folder / name) != sum]
        settings = {**manifest.settings, "edited": edited} if edited else manifest.settings
        return cls(tuple(examples), tuple(pairs), settings, manifest.report)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
