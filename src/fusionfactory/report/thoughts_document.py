"""A comparison of templates with their controls: `think evaluate --json`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from fusionfactory.report.parts import STRICT, Count, Number, checked
from fusionfactory.report.rows import Rows
from fusionfactory.thoughts.gating.comparison import KIND

__all__ = [
    "GateFacts", "ModelFacts", "RuleFacts", "ThoughtsDocument", "WeighedFacts", "is_thoughts",
    "read_thoughts",
]  # fmt: skip


class _Part(BaseModel):
    model_config = STRICT


class WeighedFacts(_Part):
    """What train outcomes say of a candidate: see `thoughts.gate.Weighed`."""

    gain: Number
    error: Number
    queries: Count = None
    cost_usd: Number = None


class RuleFacts(_Part):
    """What a gate does on a task: see `thoughts.gate.Rule`."""

    task: str | None = None
    strategy: str
    evidence: dict[str, WeighedFacts] = {}
    near: str | None = None
    threshold: Number = None


class GateFacts(_Part):
    """A gate: what it may use, its margin in standard errors, and its rules."""

    candidates: list[str] = []
    margin: Number = None
    rules: list[RuleFacts] = []
    other: RuleFacts


class ModelFacts(Rows):
    """One model's comparison."""

    model: str
    lead: str | None = None
    gates: dict[str, GateFacts] = Field(default_factory=dict)


class ThoughtFacts(_Part):
    """Facts about the table and the protocol."""

    queries: Count = None
    fingerprint: str = ""
    cost_basis: str = ""
    train_splits: list[str] = []
    test_split: str = ""
    similarity: bool | None = None
    risk: Number = None
    min_coverage: Number = None
    draws: Count = None
    seed: Count = None


class ThoughtsDocument(_Part):
    """A comparison to report on."""

    kind: Literal["thoughts"]
    facts: ThoughtFacts = ThoughtFacts()
    models: list[ModelFacts] = Field(min_length=1)


def is_thoughts(content: object) -> bool:
    """Whether a JSON value says that it is such a comparison."""
    return isinstance(content, Mapping) and content.get("kind") == KIND


def read_thoughts(content: Mapping[str, Any]) -> ThoughtsDocument:
    """Checks a comparison in JSON form.

    Raises:
        FormatError: It is malformed; the message names the key.
    """
    return checked(ThoughtsDocument, content, "think evaluate --json")
