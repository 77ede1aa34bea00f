"""A user's own questions as a task: one file with a column of questions, perhaps one of answers."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import TaskError
from fusionfactory.tasks.base import Example, Task
from fusionfactory.tasks.files import read_file
from fusionfactory.tasks.rows import digest, text, value
from fusionfactory.tasks.sources import parse_rows
from fusionfactory.types import JUDGE_ONLY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["OwnTask", "plain_task"]

_TRUTHS = {True: ["yes", "true"], False: ["no", "false"]}


@dataclass(frozen=True)
class OwnTask:
    """Where a user's questions stand and how they are scored.

    A target is a text, a number, a truth value (yes or true, no or false are right), or a list of
    such, each of them right.

    Attributes:
        name: Name in tables.
        path: A JSONL, JSON, CSV or Parquet file, perhaps with `.gz`.
        metric: A scorer's name, or `judge`.
        question: The field that holds the question.
        target: The field that holds the right answer; with `judge` it may be absent.
        id: The field that holds a unique id; None for a digest of the question.
        domain: A group of tasks in reports.
        instruction: What is said about the answer's form after the question.
        description: One sentence that routers may read.
    """

    name: str
    path: Path
    metric: str
    question: str = "question"
    target: str = "target"
    id: str | None = None
    domain: str = "own"
    instruction: str = ""
    description: str = ""

    @property
    def task(self) -> Task:
        """The task as those of FusionBench are."""
        return Task(
            name=self.name,
            domain=self.domain,
            metric=self.metric,
            description=self.description,
            instruction=self.instruction,
            parse=self._parse,
        )

    def examples(self) -> list[Example]:
        """The questions of the file; a row that repeats another one is left out.

        Raises:
            TaskError: The file or a row cannot be used; names file, row and field.
        """
        return parse_rows(self.task, read_file(self.path), self.path)

    def _parse(self, row: Mapping[str, Any], index: int) -> Example:
        question = text(row, self.question).strip()
        own = digest(question) if self.id is None else str(value(row, self.id)).strip()
        if not own:
            msg = "is blank, expected an id"
            raise TaskError(msg, field=self.id)
        return Example(own, question, self._target(row))

    def _target(self, row: Mapping[str, Any]) -> str | None:
        given = row.get(self.target)
        if given is None or given == [] or (isinstance(given, str) and not given.strip()):
            if self.metric == JUDGE_ONLY:
                return None
            msg = (
                f"holds no right answer, which the metric {self.metric!r} needs; found the fields "
                f"{', '.join(map(str, row))}. Name the field in `target`, or use the metric "
                f"{JUDGE_ONLY!r}"
            )
            raise TaskError(msg, field=self.target)
        if isinstance(given, str):
            return given
        texts = self._texts(given)
        return texts[0] if len(texts) == 1 else json.dumps(texts, ensure_ascii=False)

    def _texts(self, given: object) -> list[str]:
        if isinstance(given, list | tuple):
            return [accepted for item in given for accepted in self._texts(item)]
        if isinstance(given, bool):
            return _TRUTHS[given]
        if isinstance(given, str) and given.strip():
            return [given]
        if isinstance(given, int):
            return [str(given)]
        if isinstance(given, float) and math.isfinite(given):
            return [str(int(given)) if given.is_integer() else repr(given)]
        msg = f"{given!r:.200} is no text, number, truth value or list of them"
        raise TaskError(msg, field=self.target)


def plain_task(name: str | None) -> Task:
    """A task that asks its queries as they are: for queries of a log whose task is not known."""
    return Task(
        name=name or "plain",
        domain="own",
        metric=JUDGE_ONLY,
        description="",
        instruction="",
        parse=lambda row, index: None,
    )
