"""World knowledge, short answers: Natural Questions and TriviaQA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.errors import TaskError
from fusionfactory.tasks.base import Example, Task
from fusionfactory.tasks.rows import gold, identity, items, text, value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NATURAL_QA", "TRIVIA_QA"]

_INSTRUCTION = "Give the final answer in a few words."
_UNLABELLED = "<unk>"
"""The answer of TriviaQA's published test rows."""


def _natural_qa(row: Mapping[str, Any], index: int) -> Example:
    question = text(row, "question").strip()
    answers = items(row, "golden_answers")
    return Example(identity(row, "id", question), question, gold(answers))


def _trivia_qa(row: Mapping[str, Any], index: int) -> Example | None:
    question = text(row, "question").strip()
    answer = value(row, "answer")
    if not isinstance(answer, dict):
        msg = f"{answer!r:.200} holds no `value` and `aliases`"
        raise TaskError(msg, field="answer")
    accepted = [text(answer, "value").strip()]
    if accepted == [_UNLABELLED]:
        return None
    for name in ("aliases", "normalized_aliases"):
        accepted += items(answer, name) if answer.get(name) else []
    return Example(identity(row, "question_id", question), question, gold(accepted))


NATURAL_QA = Task(
    name="natural_qa",
    domain="world_knowledge",
    metric="contains",
    description="Questions that people asked a search engine, with short factual answers.",
    instruction=_INSTRUCTION,
    parse=_natural_qa,
    hub="RUC-NLPIR/FlashRAG_datasets:nq",
    splits={"train": "train", "test": "test"},
)
TRIVIA_QA = Task(
    name="trivia_qa",
    domain="world_knowledge",
    metric="contains",
    description="Trivia questions about people, places, works and events, with short answers.",
    instruction=_INSTRUCTION,
    parse=_trivia_qa,
    hub="mandarjoshi/trivia_qa:rc.nocontext",
    splits={"train": "train", "test": "validation"},
)
