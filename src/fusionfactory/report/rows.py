"""The rows of a comparison as every document holds them: figures by task, by domain and overall.

`standing.Standings` makes them; what a row is held against, and what else is told of it, is the
document's own.
"""

from __future__ import annotations

from pydantic import BaseModel, Field, model_validator

from fusionfactory.report.heatmap import task_name
from fusionfactory.report.parts import STRICT, Count, Number, Point

__all__ = ["DomainFacts", "Figures", "GainFacts", "RowFacts", "Rows", "Statement",
           "TaskFacts", "WorstFacts"]  # fmt: skip


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
    """The task on which a row does worst against the first that it is held against."""

    name: str


class Figures(_Part):
    """A row's mean quality on a task, on a domain or overall, and what it is held against."""

    quality: Number
    against: dict[str, GainFacts]

    def over(self, name: str) -> GainFacts | None:
        """The difference to a row; None where it is not known."""
        return self.against.get(name)


class RowFacts(Figures):
    """One line of a comparison; see `standing` for meanings and units.

    Attributes:
        cut_share: Share of the answers that the token limit cut off.
        missing: Test queries asked on which it has no score: failed calls among them.
    """

    name: str
    label: str
    kind: str
    cost_usd: Number = None
    input_tokens: Number = None
    output_tokens: Number = None
    cut_share: Number = None
    missing: Count = None
    worst_task: WorstFacts
    tasks: list[Figures]
    domains: list[Figures]


class TaskFacts(_Part):
    """A task: its queries that all arms answered, and all its test queries."""

    name: str
    domain: str = ""
    queries: Count = None
    asked: Count = None

    @property
    def title(self) -> str:
        """Its name, which the table may not give."""
        return task_name(self.name)


class DomainFacts(_Part):
    """A domain: its tasks, and their queries that all arms answered."""

    name: str
    tasks: Count = None
    queries: Count = None

    @property
    def title(self) -> str:
        """Its name, which the table may not give."""
        return self.name or "(no domain)"


class Statement(_Part):
    """A claim about a row, whether it holds (None where that is open), and the words."""

    row: str
    claim: str
    holds: bool | None
    words: str


class Rows(_Part):
    """A comparison of rows on the same queries."""

    queries: Count
    asked: Count = None
    tasks: list[TaskFacts] = Field(min_length=1)
    domains: list[DomainFacts] = Field(min_length=1)
    rows: list[RowFacts] = Field(min_length=1)
    statements: list[Statement] = []
    arms_left_out: dict[str, str] = {}
    tasks_left_out: dict[str, str] = {}

    @model_validator(mode="after")
    def _shapes(self) -> Rows:
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
