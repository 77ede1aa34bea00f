"""A comparison of templates with their controls: `think evaluate --json`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from fusionfactory.report.parts import STRICT, Count, Number, Point, checked
from fusionfactory.thoughts.gating.comparison import KIND
from fusionfactory.thoughts.gating.gate import BASELINE
from fusionfactory.thoughts.gating.ground import FORMAT

__all__ = [
    "Figures", "GainFacts", "GateFacts", "ModelFacts", "RowFacts", "RuleFacts", "Statement",
    "ThoughtsDocument", "WeighedFacts", "is_thoughts", "read_thoughts",
]  # fmt: skip


class _Part(BaseModel):
    model_config = STRICT


class GainFacts(_Part):
    """A paired difference and its 95 % interval, in units of quality."""

    gain: Number
    ci95: list[Number] = Field(min_length=2, max_length=2)

    @property
    def interval(self) -> Point | None:
        """None where one query alone would have to tell."""
        low, high = self.ci95
        return None if low is None or high is None else (low, high)


class WorstFacts(GainFacts):
    """The task on which a row does worst against zero-shot."""

    name: str


class Figures(_Part):
    """A row's mean quality on a task, on a domain or overall, and what it is held against."""

    quality: Number
    against: dict[str, GainFacts]

    @property
    def gain(self) -> GainFacts | None:
        """Against zero-shot."""
        return self.against.get(BASELINE)

    @property
    def format_gain(self) -> GainFacts | None:
        """Against the format-only control; None where there is none."""
        return self.against.get(FORMAT)


class RowFacts(Figures):
    """One line of a comparison; see `standing` for meanings and units."""

    name: str
    label: str
    kind: str
    cost_usd: Number = None
    input_tokens: Number = None
    output_tokens: Number = None
    worst_task: WorstFacts
    tasks: list[Figures]
    domains: list[Figures]

    @property
    def is_baseline(self) -> bool:
        """Whether all others are held against this row."""
        return self.name == BASELINE


class TaskFacts(_Part):
    """A task: its queries that all arms answered, and all its test queries."""

    name: str
    domain: str = ""
    queries: Count = None
    asked: Count = None


class DomainFacts(_Part):
    """A domain: its tasks, and their queries that all arms answered."""

    name: str
    tasks: Count = None
    queries: Count = None


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


class Statement(_Part):
    """A claim about a row, whether it holds (None where that is open), and the words."""

    row: str
    claim: str
    holds: bool | None
    words: str


class ModelFacts(_Part):
    """One model's comparison."""

    model: str
    queries: Count
    asked: Count = None
    tasks: list[TaskFacts] = Field(min_length=1)
    domains: list[DomainFacts] = Field(min_length=1)
    rows: list[RowFacts] = Field(min_length=1)
    lead: str | None = None
    gates: dict[str, GateFacts] = {}
    statements: list[Statement] = []
    arms_left_out: dict[str, str] = {}
    tasks_left_out: dict[str, str] = {}

    @model_validator(mode="after")
    def _shapes(self) -> ModelFacts:
        for row in self.rows:
            for key, found, expected in (
                ("tasks", row.tasks, self.tasks),
                ("domains", row.domains, self.domains),
            ):
                if len(found) != len(expected):
                    msg = f"the row {row.name!r} has {len(found)} {key}, expected {len(expected)}"
                    raise ValueError(msg)
        return self

    def row(self, name: str | None) -> RowFacts | None:
        """One row, None where it is absent."""
        return next((row for row in self.rows if row.name == name), None)

    def label(self, name: str) -> str:
        """What a row is called; its name where it is absent."""
        row = self.row(name)
        return row.label if row else name


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
