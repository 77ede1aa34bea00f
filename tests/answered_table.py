"""A table of answered questions whose arms' skills are known, for plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fake_outcomes import outcome_table
from fusionfactory.types import Query

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["answered_table"]

_WORDS = {"sums": "add the two numbers", "names": "who wrote the novel about"}


def answered_table(n: int = 300, seed: int = 0) -> OutcomeTable:
    """Two tasks by five arms; four cheap ones err on their own, the dear one errs less.

    Half of the questions are hard: there a cheap arm is right less often than not.
    """
    rng = np.random.default_rng(seed)
    skills = {
        "small-a": (0.80, 0.35, 1e-5),
        "small-b": (0.80, 0.40, 1e-5),
        "small-c": (0.75, 0.35, 1e-5),
        "small-d": (0.70, 0.30, 1e-5),
        "large": (0.95, 0.80, 1e-3),
    }
    hard = rng.random(n) < 0.5
    tasks = rng.choice(list(_WORDS), n)
    chance = np.stack([np.where(hard, low, high) for high, low, _ in skills.values()], axis=1)
    right = rng.random(chance.shape) < chance
    slip = rng.integers(1, 6, right.shape)
    target = np.arange(n)[:, None] % 10
    said = np.where(right, target, (target + slip) % 10)
    queries = [
        Query(f"q{i}", f"{_WORDS[task]} {i}", task=str(task), target=str(i % 10), metric="number")
        for i, task in enumerate(tasks)
    ]
    cost = np.tile([usd for *_, usd in skills.values()], (n, 1))
    responses = [[f"The answer is {value}" for value in row] for row in said.tolist()]
    return outcome_table(
        queries, list(skills), right.astype(float).tolist(), cost=cost.tolist(), responses=responses
    )
