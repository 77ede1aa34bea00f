"""Reading comprehension, the passage before the question: SQuAD and BoolQ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.errors import TaskError
from fusionfactory.tasks.base import Example, Task
from fusionfactory.tasks.rows import gold, identity, items, text, value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BOOLQ", "SQUAD"]

_TRUTHS = {"true": "yes", "false": "no", "yes": "yes", "no": "no", "1": "yes", "0": "no"}


def _squad(row: Mapping[str, Any], index: int) -> Example:
    answers = value(row, "answers")
    if not isinstance(answers, dict):
        msg = f"{answers!r:.200} holds no list `text`"
        raise TaskError(msg, field="answers")
    asked = _asked(text(row, "context"), text(row, "question").strip())
    return Example(identity(row, "id", asked), asked, gold(items(answers, "text")))


def _boolq(row: Mapping[str, Any], index: int) -> Example:
    answer = value(row, "answer", "label")
    target = _TRUTHS.get(str(answer).strip().lower())
    if target is None:
        msg = f"{answer!r} is no truth value, expected true or false"
        raise TaskError(msg, field="answer")
    question = text(row, "question").strip().rstrip("?")
    asked = _asked(text(row, "passage"), f"{question}?")
    return Example(identity(row, "id", asked), asked, target)


def _asked(passage: str, question: str) -> str:
    return f"{passage.strip()}\n\nQuestion: {question}"


SQUAD = Task(
    name="squad",
    domain="reading",
    metric="contains",
    description="Questions about a paragraph whose answer is a span of it.",
    instruction="Answer with a few words taken from the passage.",
    parse=_squad,
    hub="rajpurkar/squad",
    splits={"train": "train", "test": "validation"},
)
BOOLQ = Task(
    name="boolq",
    domain="reading",
    metric="contains",
    description="Yes or no questions about a passage.",
    instruction="Your final answer must be yes or no.",
    parse=_boolq,
    hub="google/boolq",
    splits={"train": "train", "test": "validation"},
)
