"""Routers on tasks and with arms that were left out: the part `left_out`, read and checked."""

from __future__ import annotations

from pydantic import BaseModel, Field

from fusionfactory.report.parts import STRICT, Count, Number
from fusionfactory.report.rows import GainFacts

__all__ = ["ArmsDocument", "LeftOutDocument", "PartsDocument"]


class _Part(BaseModel):
    model_config = STRICT


class PartFacts(GainFacts):
    """A task or domain that was left out, and the gain over the others' best single arm on it."""

    name: str
    queries: Count = None
    single: str = ""
    single_quality: Number = None
    quality: Number = None
    single_cost_usd: Number = None
    cost_usd: Number = None
    top: str = ""
    top_share: Number = None


class PartsFacts(_Part):
    """One router."""

    router: str
    rows: list[PartFacts] = Field(min_length=1)
    overall: GainFacts


class PartsDocument(_Part):
    """What `leave_tasks_out` found."""

    by: str
    policy: str
    too_small: dict[str, int] = {}
    routers: list[PartsFacts] = Field(min_length=1)


class LabelledFacts(GainFacts):
    """An arm added from so many labels; `reached` is the share of its full gain."""

    labels: Count
    reached: Number = None


class MeanFacts(_Part):
    """The mean over all arms."""

    full: GainFacts
    labelled: list[LabelledFacts] = []


class ArmFacts(MeanFacts):
    """An arm that was left out; gains are over the router that never knew it."""

    name: str
    queries: Count = None
    without: Number = None


class ArmsFacts(_Part):
    """One router."""

    router: str
    rows: list[ArmFacts] = Field(min_length=1)
    overall: MeanFacts


class ArmsDocument(_Part):
    """What `leave_arms_out` found."""

    policy: str
    seeds: Count = None
    labels: list[int] = []
    routers: list[ArmsFacts] = Field(min_length=1)


class LeftOutDocument(_Part):
    """By what was left out."""

    task: PartsDocument | None = None
    domain: PartsDocument | None = None
    arm: ArmsDocument | None = None
