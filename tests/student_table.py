"""A made-up table of a model, its students, their control and a teacher, whose gains are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fusionfactory.types import Arm
from gated_table import TASKS, TOKENS, gated_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.table import OutcomeTable

__all__ = ["BEFORE", "GAINS", "ROLES", "student_table"]

BEFORE = "small"
GAINS = {
    "small-label": (0.1, 0, 0, 0.05),
    "small-best": (0.3, -0.3, 0.25, 0.1),
    "small-top5": (0, 0, 0, 0),
    "large": (0.4, 0.4, 0.4, 0.4),
}
"""Arm to its true gains over the model before training on sums, facts, texts and quiz."""
ROLES: dict[str, Any] = {
    "before": BEFORE,
    "control": "small-label",
    "students": ["small-best", "small-top5"],
    "teachers": ["large"],
}


def student_table(
    gains: Mapping[str, Sequence[float]] | None = None, *, test: int = 100, seed: int = 0
) -> OutcomeTable:
    """Outcomes of `BEFORE` and of the arms of `gains`; see `gated_table`."""
    given = GAINS if gains is None else gains
    assert all(len(values) == len(TASKS) for values in given.values())
    strategies = [name for name in TOKENS if name != "direct"][: len(given)]
    table = gated_table(
        dict(zip(strategies, given.values(), strict=True)), train=5, test=test, seed=seed
    )
    return replace(table, arms=tuple(Arm(name) for name in (BEFORE, *given)))
