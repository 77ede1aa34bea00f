"""Commonsense reasoning, multiple choice: CommonsenseQA, OpenBookQA, ARC-Challenge, HellaSwag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.errors import TaskError
from fusionfactory.tasks.base import Example, Task
from fusionfactory.tasks.choices import INSTRUCTION, choice, labelled
from fusionfactory.tasks.rows import items, text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ARC_CHALLENGE", "COMMONSENSE_QA", "HELLASWAG", "OPENBOOK_QA"]


def _question(row: Mapping[str, Any], index: int) -> Example | None:
    # Published test rows of CommonsenseQA carry an empty key.
    if row.get("answerKey") == "":
        return None
    return labelled(row, text(row, "question_stem", "question"))


def _hellaswag(row: Mapping[str, Any], index: int) -> Example | None:
    label = row.get("label")
    if label is None or str(label).strip() == "":
        return None
    if str(label).strip() not in {"0", "1", "2", "3"}:
        msg = f"{label!r} is no position from 0 to 3"
        raise TaskError(msg, field="label")
    question = f"{text(row, 'ctx').strip()} ...\nHow does this go on?"
    return choice(question, items(row, "endings"), int(label))


COMMONSENSE_QA = Task(
    name="commonsense_qa",
    domain="commonsense",
    metric="multiple_choice",
    description="Everyday questions about how things in the world relate, with five options.",
    instruction=INSTRUCTION,
    parse=_question,
    hub="tau/commonsense_qa",
    splits={"train": "train", "test": "validation"},
)
OPENBOOK_QA = Task(
    name="openbook_qa",
    domain="commonsense",
    metric="multiple_choice",
    description="Elementary science: a fact to apply to a situation, with four options.",
    instruction=INSTRUCTION,
    parse=_question,
    hub="allenai/openbookqa:main",
    splits={"train": "train", "test": "test"},
)
ARC_CHALLENGE = Task(
    name="arc_challenge",
    domain="commonsense",
    metric="multiple_choice",
    description="School science questions that retrieval alone does not answer, multiple choice.",
    instruction=INSTRUCTION,
    parse=_question,
    hub="allenai/ai2_arc:ARC-Challenge",
    splits={"train": "train", "test": "test"},
)
HELLASWAG = Task(
    name="hellaswag",
    domain="commonsense",
    metric="multiple_choice",
    description="Which of four endings continues a description of an everyday scene.",
    instruction=INSTRUCTION,
    parse=_hellaswag,
    hub="Rowan/hellaswag",
    splits={"train": "train", "test": "validation"},
)
