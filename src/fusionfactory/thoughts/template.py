"""Thought templates, and the file of a bank that holds them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from fusionfactory.errors import ThoughtError
from fusionfactory.jsonl import read_jsonl, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "CRITERIA",
    "NOTES",
    "TEMPLATES",
    "Source",
    "ThoughtTemplate",
    "read_templates",
    "write_templates",
]

CRITERIA = ("performance", "judge", "hybrid")
"""How source answers are ranked: see `thoughts.writing.select`."""

TEMPLATES = "templates.jsonl"
"""Name of the file of templates in a bank's directory."""

NOTES = "notes.jsonl"
"""Name of the file of notes there: templates as they were written, before any was merged."""


class Source(NamedTuple):
    """The outcome that a template was written from.

    Attributes:
        query_id: Of its query.
        arm: That answered.
        sample: Repetition, from 0.
    """

    query_id: str
    arm: str
    sample: int = 0


@dataclass(frozen=True, slots=True)
class ThoughtTemplate:
    """How questions of a kind are solved, in a few sentences. Called thought template in the paper.

    Attributes:
        text: The task, the steps, the form of the answer; holds no answer.
        question: The text of the (first) query that it was written for.
        answer: The best answer to that query, for few-shot prompts.
        sources: What it was written from, the best answer first; after a merge, the sources of all
            templates that it stands for, its own first.
        criteria: By which of `CRITERIA` the sources were chosen; several where they agree.
        writer: Name of the arm that wrote it, or `extractive`.
        prompt_version: Version of the writer's prompt, or of the extractive writer.
        task: Name of the queries' task.
        domain: Of the task.
        notes: Ids of the notes that were merged into it, its own first.
    """

    text: str
    question: str
    answer: str
    sources: tuple[Source, ...]
    criteria: tuple[str, ...]
    writer: str
    prompt_version: str
    task: str | None = None
    domain: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """A digest of the text, its task and what it was written from."""
        told = json.dumps([self.text, self.task, self.writer, self.sources], ensure_ascii=False)
        return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]

    @property
    def query_ids(self) -> frozenset[str]:
        """The queries that it stands for."""
        return frozenset(source.query_id for source in self.sources)


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    text: str = Field(min_length=1)
    question: str
    answer: str
    sources: tuple[Source, ...] = Field(min_length=1)
    criteria: tuple[str, ...] = Field(min_length=1)
    writer: str
    prompt_version: str
    task: str | None = None
    domain: str | None = None
    notes: tuple[str, ...] = ()


def write_templates(templates: Iterable[ThoughtTemplate], path: Path) -> None:
    """Writes one JSON object a line; the file is there whole or not at all."""
    write_jsonl(({"id": template.id, **asdict(template)} for template in templates), path)


def read_templates(path: Path) -> list[ThoughtTemplate]:
    """Reads what `write_templates` wrote; an edited text gets a new id.

    Raises:
        ThoughtError: The file is missing, or a line is no template; names file, row and field.
    """
    missing = "build templates first, by `fusionfactory think build`"
    return [
        ThoughtTemplate(**{name: value for name, value in line if name != "id"})
        for line in read_jsonl(path, _Line, ThoughtError, missing)
    ]
