"""A store with answers of all kinds to score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Query, Score

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TESTS", "filled"]

ADDING = "def add(a, b):\n    return a {} b\n"
TESTS = "assert add(2, 3) == 5\n"


def filled(path: Path, tests: str = TESTS, answers: int = 12) -> Store:
    """Three arms' answers of all kinds, and failed, imported and judged ones."""
    store = Store(path)
    store.add_arms([Arm("m"), Arm("n"), Arm("o")])
    ids = range(answers)
    store.add_queries(
        [
            *(Query(f"t{i}", f"Say {i}.", task="facts", target=str(i), metric="contains")
              for i in ids),
            *(Query(f"n{i}", f"{i} + 1?", task="sums", target=str(i + 1), metric="number")
              for i in ids),
            *(Query(f"c{i}", "Write add.", task="code", target=tests, metric="code") for i in ids),
            Query("j", "Write a poem.", task="poems", metric="judge"),
            Query("x", "Hello!"),
        ]
    )  # fmt: skip
    store.append(
        [
            *(Outcome(f"t{i}", a, response=f"It is {i % 5}. ½") for i in ids for a in "mn"),
            *(Outcome(f"n{i}", a, response=f"#### {i % 3 + 1}") for i in ids for a in "mn"),
            *(Outcome(f"c{i}", "m", response=ADDING.format("+-"[i % 2])) for i in ids),
            Outcome("t0", "o", error="500: boom"),
            Outcome("t1", "o", response="1", scores=(Score("performance", 0.5),)),
            Outcome("j", "m", response="Roses are red"),
            Outcome("x", "m", response="Hi"),
        ]
    )
    return store
