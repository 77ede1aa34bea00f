"""The levels side by side: the part `fusion` of what `fuse --json` wrote, read and checked."""

from __future__ import annotations

from pydantic import BaseModel, Field

from fusionfactory.report.parts import STRICT, Count
from fusionfactory.report.rows import Rows

__all__ = ["FuseDocument", "LevelFacts", "PlanFacts"]


class _Part(BaseModel):
    model_config = STRICT


class LevelFacts(_Part):
    """A level and its arms."""

    name: str
    arms: list[str] = []


class PlanFacts(_Part):
    """A plan and how it goes on, a sentence each; of the first seed."""

    name: str
    words: list[str] = []


class FuseDocument(Rows):
    """A comparison of levels to report on.

    Attributes:
        scenario: The policy that all rows choose by.
        different: Queries counted once, however many seeds tested on them.
        base: Name of the row of the best single arm.
        fixed: Name of the row of the best fixed level per task.
        chosen: Name of a fixed level to its arm, of the first seed.
        task_levels: Task to the name of the row that was best on train, of the first seed.
        plans_left_out: Why there are no plans; None where there are.
        plan_notes: What limits the plans, a sentence each without its full stop.
        judged: Whether quality is the judge's score.
    """

    scenario: str
    seeds: Count = None
    different: Count = None
    base: str
    fixed: str
    levels: list[LevelFacts] = Field(default_factory=list)
    chosen: dict[str, str] = Field(default_factory=dict)
    task_levels: dict[str, str] = Field(default_factory=dict)
    plans: list[PlanFacts] = Field(default_factory=list)
    plans_left_out: str | None = None
    plan_notes: list[str] = Field(default_factory=list)
    judged: bool = False
