"""Steps of a long run, told to whoever shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Progress", "Steps"]

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what comes next."""


@dataclass
class Steps:
    """Steps of a run, reported before each as `Progress` wants them."""

    report: Progress | None
    total: int
    done: int = 0

    def next(self, label: str) -> None:
        """Reports the next one by its label."""
        if self.report:
            self.report(self.done, self.total, label)
        self.done += 1
