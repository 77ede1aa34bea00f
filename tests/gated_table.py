"""A made-up table of one model's prompt strategies, whose true gains are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.table import OutcomeTable
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["BASE", "MODEL", "TASKS", "TOKENS", "gated_table"]

MODEL = "m"
TASKS = {"sums": "math", "facts": "world", "texts": "reading", "quiz": "reading"}
"""Task to domain."""
BASE = 0.5
"""Quality of the direct prompt on every task."""
TOKENS = {"direct": 50, "format": 65, "think": 60, "few-shot:3": 600, "random:3": 400,
          "thought:3": 400, "thought-judge:3": 420}  # fmt: skip
"""Strategy to input tokens; a token costs a micro-USD."""


def gated_table(
    gains: Mapping[str, Sequence[float]],
    *,
    train: int = 100,
    test: int = 100,
    discord: float = 0.1,
    seed: int = 0,
    model: str = MODEL,
) -> OutcomeTable:
    """Outcomes in which a strategy's gain over `direct` is a task's true one, but for noise.

    On a share `discord` of the queries, and on as many more as the gain asks for, a strategy's
    answer is not the baseline's.

    Args:
        gains: Strategy to its true gains on `TASKS`; `direct` is added.
        train: Train queries per task.
        test: Test queries per task.
        discord: Share of the queries that a strategy wins by luck, and that it loses.
        seed: Of the noise.
        model: Its name.
    """
    rng = np.random.default_rng(seed)
    size = train + test
    names = ["direct", *gains]
    count = size * len(TASKS)
    quality = np.empty((count, len(names)))
    quality[:, 0] = rng.random(count) < BASE
    for column, by_task in enumerate(gains.values(), 1):
        gain = np.repeat(by_task, size)
        wins = (discord + np.maximum(gain, 0)) / (1 - BASE)
        losses = (discord + np.maximum(-gain, 0)) / BASE
        luck = rng.random(count)
        right = quality[:, 0] == 1
        quality[:, column] = np.where(right, luck >= losses, luck < wins)
    tokens = np.tile([float(TOKENS[name]) for name in names], (count, 1))
    tasks = np.repeat(list(TASKS), size)
    unknown = np.full_like(quality, np.nan)
    return OutcomeTable(
        queries=pl.DataFrame(
            {
                "query_id": [f"q{i}" for i in range(count)],
                "query": [f"{task} question number {i}" for i, task in enumerate(tasks)],
                "task": tasks,
                "domain": [TASKS[str(task)] for task in tasks],
                "target": [None] * count,
                "metric": [None] * count,
                "split": (["train"] * train + ["test"] * test) * len(TASKS),
                "description": [None] * count,
            },
            schema_overrides=dict.fromkeys(("target", "metric", "description"), pl.String),
        ),
        arms=tuple(Arm(model, name) for name in names),
        quality=quality,
        judge=unknown,
        cost_usd=tokens * 1e-6,
        input_tokens=tokens,
        output_tokens=np.full_like(quality, 20.0),
        latency_s=unknown,
    )
