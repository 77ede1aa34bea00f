"""How steady routers are: the part `robustness` of an evaluation, read and checked."""

from __future__ import annotations

from pydantic import BaseModel, Field

from fusionfactory.report.parts import STRICT, Count, Number
from fusionfactory.report.rows import GainFacts

__all__ = ["AttackFacts", "CeilingFacts", "ExamFacts", "RobustnessDocument", "ShiftFacts"]


class _Part(BaseModel):
    model_config = STRICT


class ShiftFacts(_Part):
    """What an edit does to decisions: see `robustness.Shift`."""

    edit: str
    flipped: Number
    quality_lost: Number = None
    quality_ci95: list[Number] = Field(min_length=2, max_length=2)
    cost_added_usd: Number = None

    @property
    def gain(self) -> GainFacts:
        """The change of quality: negative where it is lost."""
        low, high = (None if end is None else 0.0 - end for end in reversed(self.quality_ci95))
        change = None if self.quality_lost is None else 0.0 - self.quality_lost
        return GainFacts(gain=change, ci95=[low, high])


class TriggerFacts(_Part):
    """Text that sends queries to an arm: see `robustness.Trigger`."""

    text: str
    target: str
    place: str


class AttackFacts(_Part):
    """What a trigger does on queries that its search has not seen: see `robustness.Attack`."""

    trigger: TriggerFacts
    already: Number = None
    success: Number = None
    shift: ShiftFacts


class SpreadFacts(_Part):
    """How decisions spread over arms: see `robustness.Spread`."""

    arms: Count = None
    top: str
    share: Number = None
    entropy: Number = None
    idle: list[int] = []


class ExamFacts(_Part):
    """One router: see `robustness.Exam`. `collapsed` names the limit that is passed for certain."""

    router: str
    shifts: list[ShiftFacts] = Field(min_length=1)
    attacks: list[AttackFacts] = []
    spread: SpreadFacts
    collapsed: str | None = None


class CeilingFacts(_Part):
    """What a router could reach at best: see `robustness.Ceilings`."""

    queries: Count = None
    best_single: Number = None
    oracle: Number = None
    corrected: Number = None
    kinds: Count = None
    luck: Number = None
    co_failure: Number = None
    co_failure_if_independent: Number = None


class RobustnessDocument(_Part):
    """Exams of routers on one split, and the ceilings of the whole table."""

    policy: str
    seed: Count = None
    queries: Count = None
    routers: list[ExamFacts] = Field(min_length=1)
    ceilings: CeilingFacts | None = None
