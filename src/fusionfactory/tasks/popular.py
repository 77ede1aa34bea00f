"""Popular benchmarks of knowledge, multiple choice: MMLU and GPQA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.errors import TaskError
from fusionfactory.tasks.base import Example, Task
from fusionfactory.tasks.choices import INSTRUCTION, choice, shuffled
from fusionfactory.tasks.rows import identity, items, text, value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GPQA", "MMLU"]

_GPQA_WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def _mmlu(row: Mapping[str, Any], index: int) -> Example:
    options = items(row, "choices")
    answer = value(row, "answer")
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(options):
        msg = f"{answer!r} is no position of one of {len(options)} options, from 0"
        raise TaskError(msg, field="answer")
    return choice(text(row, "question"), options, answer)


def _gpqa(row: Mapping[str, Any], index: int) -> Example:
    question = text(row, "Question").strip()
    right = text(row, "Correct Answer").strip()
    wrong = [text(row, name).strip() for name in _GPQA_WRONG]
    id = identity(row, "Record ID", question)
    options, key = shuffled(id, right, wrong)
    return choice(question, options, key, id=id)


MMLU = Task(
    name="mmlu",
    domain="popular",
    metric="multiple_choice",
    description="Exam questions from 57 school, college and professional subjects, four options.",
    instruction=INSTRUCTION,
    parse=_mmlu,
    hub="cais/mmlu:all",
    splits={"train": "auxiliary_train", "test": "test"},
)
GPQA = Task(
    name="gpqa",
    domain="popular",
    metric="multiple_choice",
    description="Graduate level biology, physics and chemistry that search does not answer.",
    instruction=INSTRUCTION,
    parse=_gpqa,
    hub="Idavidrein/gpqa:gpqa_main",
    splits={"train": "train", "test": "train"},
)
