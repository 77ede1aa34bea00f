"""A comparison of students with the model before: `distill evaluate --json`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from fusionfactory.distill.comparison import KIND
from fusionfactory.report.parts import STRICT, Count, Number, Point, checked
from fusionfactory.report.rows import GainFacts, RowFacts, Rows

__all__ = ["AlarmFacts", "DistillDocument", "FlipFacts", "MadeFacts", "is_distill", "read_distill"]

_Step = Annotated[list[Number], Field(min_length=2, max_length=2)]


class _Part(BaseModel):
    model_config = STRICT


class FlipFacts(_Part):
    """Queries of a task that training turned, and the sign test of that."""

    won: Count
    lost: Count
    p: Number = None
    p_holm: Number = None


class AlarmFacts(GainFacts):
    """A task, a domain or the average on which a student is worse than before."""

    row: str
    scope: str
    name: str
    verdict: str
    queries: Count
    words: str


class SourceFacts(_Part):
    """An arm that was learnt from: its answers, and how many were taken."""

    arm: str
    answers: Count = None
    taken: Count = None


class SelectionFacts(_Part):
    """What a student learnt from: see `distill select`."""

    fingerprint: str = ""
    examples: Count = None
    questions: dict[str, Count] = {}
    sources: list[SourceFacts] = []
    lengths: dict[str, Number] = {}
    rejected: dict[str, Count] = {}


class MadeFacts(_Part):
    """How a student was made; what its folder does not tell is None or empty."""

    base: str = ""
    method: str = ""
    criterion: str = ""
    device: str = ""
    examples: Count = None
    tokens: Count = None
    steps: Count = None
    epochs: Number = None
    seconds: Number = None
    settings: dict[str, str | int | float | bool | None] = {}
    loss: list[_Step] = []
    validation: list[_Step] = []
    selection: SelectionFacts = SelectionFacts()

    @property
    def curve(self) -> list[Point]:
        """(step, loss) on what was trained on."""
        return _known(self.loss)

    @property
    def held_out(self) -> list[Point]:
        """(step, loss) on what was held out."""
        return _known(self.validation)


class DistillFacts(_Part):
    """Facts about the table and the protocol."""

    queries: Count = None
    fingerprint: str = ""
    cost_basis: str = ""
    strategy: str = ""
    test_split: str = ""
    tolerance: Number = None
    min_coverage: Number = None
    draws: Count = None
    seed: Count = None
    intervals: Count = None


class DistillDocument(Rows):
    """A comparison to report on."""

    kind: Literal["distill"]
    before: str
    control: str | None = None
    recommended: str | None = None
    yardstick: str = "before"
    facts: DistillFacts = DistillFacts()
    flips: dict[str, list[FlipFacts]] = Field(default_factory=dict)
    alarms: list[AlarmFacts] = Field(default_factory=list)
    students: dict[str, MadeFacts] = Field(default_factory=dict)

    @property
    def trained(self) -> list[RowFacts]:
        """The students' rows, without the control."""
        return [row for row in self.rows if row.kind == "student"]


def is_distill(content: object) -> bool:
    """Whether a JSON value says that it is such a comparison."""
    return isinstance(content, Mapping) and content.get("kind") == KIND


def read_distill(content: Mapping[str, Any]) -> DistillDocument:
    """Checks a comparison in JSON form.

    Raises:
        FormatError: It is malformed; the message names the key.
    """
    return checked(DistillDocument, content, "distill evaluate --json")


def _known(steps: list[list[float | None]]) -> list[Point]:
    return [(step, loss) for step, loss in steps if step is not None and loss is not None]
