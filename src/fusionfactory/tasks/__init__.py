"""What is asked: the 14 tasks of FusionBench, generated ones, and your own."""

from __future__ import annotations

from fusionfactory.tasks.base import THINK, Example, Task

__all__ = ["THINK", "Example", "Task"]
