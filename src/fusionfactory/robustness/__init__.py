"""Robustness: what edits, triggers, noise and collapse do to a router's decisions."""

from __future__ import annotations

from fusionfactory.robustness.ceilings import Ceilings, ceilings, sampled_oracle
from fusionfactory.robustness.collapse import Spread, spread
from fusionfactory.robustness.consistency import Shift, consistency
from fusionfactory.robustness.edits import EDITS, Edit, edited, find_edit
from fusionfactory.robustness.exam import Exam, Robustness, examine
from fusionfactory.robustness.triggers import Attack, Trigger, attack, dearest, find_trigger

__all__ = [
    "EDITS",
    "Attack",
    "Ceilings",
    "Edit",
    "Exam",
    "Robustness",
    "Shift",
    "Spread",
    "Trigger",
    "attack",
    "ceilings",
    "consistency",
    "dearest",
    "edited",
    "examine",
    "find_edit",
    "find_trigger",
    "sampled_oracle",
    "spread",
]
