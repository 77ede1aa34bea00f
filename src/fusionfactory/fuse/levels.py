"""Levels of fusion: which arms of a table are of which, by their names and descriptions.

The paper compares a level as a whole. Here a level is one way to answer: its best single arm, or
for the query level one arm per query.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fusionfactory.types import Arm

__all__ = ["FUSED", "LABELS", "PLAN", "QUERY", "SINGLE", "TASK_LEVEL", "Level", "levels_of"]

SINGLE = "best_single"
QUERY = "level:query"
TASK_LEVEL = "level:task"
FUSED = "fused"
PLAN = "plan:"

LABELS = {
    SINGLE: "Best single arm",
    "level:direct": "Direct",
    "level:think": "Think",
    "level:control": "Other prompts",
    "level:thought": "Thought level",
    "level:model": "Model level",
    QUERY: "Query level",
    TASK_LEVEL: "Best level per task",
    FUSED: "Fused choice",
}
"""Name of a row to what it is called."""

_FIXED = ("direct", "think", "control", "thought", "model")
_STUDENT = re.compile(r"\bfine-tuned on\b")


@dataclass(frozen=True, slots=True)
class Level:
    """Arms that answer in one way.

    Attributes:
        name: Of its row, a key of `LABELS`.
        arms: Their names, in the table's order.
    """

    name: str
    arms: tuple[str, ...]


def levels_of(arms: Sequence[Arm], students: Collection[str] = ()) -> list[Level]:
    """The fixed levels that the arms make up, then the query level where it has a choice.

    A student is an arm whose model is named so, or, where none is named, one that is described as
    `distill register` describes students. The query level routes between the direct and the
    think arms of all other models, as the paper does; thought prompts and students are other
    levels.

    Args:
        arms: Of the table.
        students: Names of distilled models.

    Raises:
        TableError: A student is no model of the table.
    """
    models = {arm.model for arm in arms}
    unknown = sorted(set(students) - models)
    if unknown:
        msg = f"no arm is of the student {unknown[0]!r}; the models are {', '.join(sorted(models))}"
        raise TableError(msg, field="student")
    members: dict[str, list[str]] = {kind: [] for kind in _FIXED}
    for arm in arms:
        members[_kind(arm, students)].append(arm.name)
    found = [Level(f"level:{kind}", tuple(names)) for kind, names in members.items() if names]
    plain = {*members["direct"], *members["think"]}
    routed = tuple(arm.name for arm in arms if arm.name in plain)
    return [*found, Level(QUERY, routed)] if len(routed) > 1 else found


def _kind(arm: Arm, students: Collection[str]) -> str:
    described = not students and _STUDENT.search(arm.description or "")
    if arm.model in students or described:
        return "model"
    if arm.strategy in {"direct", "think"}:
        return arm.strategy
    return "thought" if arm.strategy.startswith("thought") else "control"
