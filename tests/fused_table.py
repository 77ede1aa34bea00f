"""A table of all levels, whose best arm follows from the words of the question."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fake_outcomes import outcome_table
from fusionfactory.types import Query

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["ARMS", "STUDENT", "fused_table"]

STUDENT = "small-student"
ARMS = ("small", "small|think", "small|thought:3", STUDENT, "big", "big|think")
_RIGHT = {
    "sums": (0.9, 0.6, 0.3, 0.5, 0.6, 0.6),
    "verbs": (0.3, 0.6, 0.9, 0.5, 0.6, 0.6),
    "rules": (0.2, 0.3, 0.4, 0.3, 0.6, 0.9),
}
_COST = (1e-6, 2e-6, 3e-6, 1e-6, 2e-5, 4e-5)
_WORDS = {"sums": "add the apples", "verbs": "conjugate the verb", "rules": "apply the rule"}


def fused_table(each: int = 60, seed: int = 0, *, responses: bool = True) -> OutcomeTable:
    """`each` questions of each of three tasks in two domains; wrong answers rarely agree."""
    rng = np.random.default_rng(seed)
    queries, quality, answers = [], [], []
    for task, shares in _RIGHT.items():
        for number in range(each):
            target = str(100 + number)
            text = f"{_WORDS[task]} of number {number} {'abcdefgh'[number % 8]}"
            queries.append(
                Query(
                    f"{task}-{number}",
                    text,
                    task,
                    "math" if task == "sums" else "language",
                    target,
                    "number",
                )
            )
            right = rng.random(len(ARMS)) < shares
            quality.append(right.astype(float).tolist())
            wrong = rng.integers(1, 90, len(ARMS))
            answers.append(
                [f"It is {target if r else w}." for r, w in zip(right, wrong, strict=True)]
            )
    cost = [list(_COST)] * len(queries)
    table = outcome_table(queries, ARMS, quality, cost=cost, responses=answers)
    return table if responses else replace(table, responses=None)
