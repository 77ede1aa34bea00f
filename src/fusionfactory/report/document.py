"""What a report is made of: `Evaluation.to_json()`, read back and checked."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, model_validator

from fusionfactory.leaderboard import BASELINE_ROWS
from fusionfactory.report.distill_document import DistillDocument  # noqa: TC001  pydantic reads it
from fusionfactory.report.fuse_document import FuseDocument  # noqa: TC001  pydantic reads it
from fusionfactory.report.left_out_document import (
    LeftOutDocument,  # noqa: TC001  pydantic reads it
)
from fusionfactory.report.parts import STRICT, Count, Number, Point, checked
from fusionfactory.report.robustness_document import (
    RobustnessDocument,  # noqa: TC001  pydantic reads it
)
from fusionfactory.report.streamed_words import StreamedFacts  # noqa: TC001  pydantic reads it
from fusionfactory.report.thoughts_document import ThoughtsDocument  # noqa: TC001  pydantic reads it

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ArmFacts", "Details", "Document", "Row", "TableFacts", "TaskFacts", "read"]


class _Part(BaseModel):
    model_config = STRICT


class Row(_Part):
    """One line of a leaderboard; see `leaderboard.leaderboard` for the meaning and the units."""

    router: str
    kind: str = "router"
    quality: Number
    cost_usd: Number
    reward: Number
    ci95: list[Number]
    verdict: str
    ci95_reward: list[Number] | None = None
    gain: Number = None
    gap_closed: Number = None
    cost_save: Number = None
    cost_save_1pt: Number = None
    aiq: Number = None
    apgr: Number = None
    entropy: Number = None
    top_share: Number = None
    scored_share: Number = None
    quality_sd: Number = None
    fit_s: Number = None
    route_us_per_query: Number = None
    decide_p50_ms: Number = None

    @property
    def is_baseline(self) -> bool:
        """Whether this is there to compare with: a row of every leaderboard, or one arm for all."""
        return self.router in BASELINE_ROWS or self.kind in {"arm", "level", "baseline"}

    @property
    def interval(self) -> Point | None:
        """95 % interval of quality minus the best single arm's."""
        return _pair(self.ci95)

    @property
    def reward_interval(self) -> Point | None:
        """95 % interval of reward minus the best single arm's."""
        return _pair(self.ci95_reward)

    @property
    def fully_scored(self) -> bool:
        """Whether every pick was scored, so that means over picks can be compared."""
        return self.scored_share is None or self.scored_share > 0.9995


class TableFacts(_Part):
    """Facts about the table, the protocol and its audit."""

    queries: Count = None
    arms: Count = None
    tasks: Count = None
    fingerprint: str = ""
    cost_basis: str = ""
    has_judge: bool | None = None
    observed_share: Number = None
    coverage: dict[str, Number] = {}
    arms_without_scores: list[str] = []
    near_duplicate_queries: Count = None
    queries_in_train_and_test: Count = None
    encoder: str = ""
    seeds: Count = None
    test_share: Number = None
    train_queries: Count = None
    test_queries: Count = None
    nominal_output_tokens: Number = None
    streamed: StreamedFacts | None = None


class ArmFacts(_Part):
    """An arm, with its means over the first seed's test side."""

    name: str
    quality: Number = None
    cost_usd: Number = None
    input_price: Number = None
    output_price: Number = None


class TaskFacts(_Part):
    """A task and how many queries it has."""

    name: str
    queries: Count = None


class Details(_Part):
    """What the charts show."""

    arms: list[ArmFacts] = []
    tasks: list[TaskFacts] = []
    task_quality: list[list[Number]] = []
    shares: dict[str, list[list[Annotated[int, Field(ge=0)]]]] = {}
    curves: dict[str, list[list[Number]]] = {}
    calibration: dict[str, list[list[Number]]] = {}
    encode_us_per_query: dict[str, Number] = {}

    @model_validator(mode="after")
    def _shapes(self) -> Details:
        shape = (len(self.tasks), len(self.arms))
        if self.task_quality:
            _matrix(self.task_quality, shape, "task_quality")
        for router, counts in self.shares.items():
            _matrix(counts, shape, f"shares.{router}")
        for router, points in self.curves.items():
            _matrix(points, (len(points), 2), f"curves.{router}")
        for router, bins in self.calibration.items():
            _matrix(bins, (len(bins), 3), f"calibration.{router}")
        return self

    def points(self, router: str) -> list[Point]:
        """(USD per query, quality) along a router's curve, unknown points left out."""
        return [(c, q) for c, q in self.curves.get(router, []) if c is not None and q is not None]


class Document(_Part):
    """An evaluation to report on."""

    table: TableFacts
    scenarios: dict[str, list[Row]]
    skipped: dict[str, str] = {}
    details: Details = Details()
    thoughts: ThoughtsDocument | None = None
    distill: DistillDocument | None = None
    fusion: FuseDocument | None = None
    robustness: RobustnessDocument | None = None
    left_out: LeftOutDocument | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Document:
        for name, rows in self.scenarios.items():
            for row in rows:
                for key, pair in (("ci95", row.ci95), ("ci95_reward", row.ci95_reward or [0, 0])):
                    if len(pair) != 2:
                        msg = f"scenarios.{name}: {key} of {row.router!r} needs two numbers"
                        raise ValueError(msg)
        if not any(self.scenarios.values()):
            msg = "scenarios holds no leaderboard"
            raise ValueError(msg)
        return self

    @property
    def first(self) -> str:
        """Name of the first scenario, the one of the headline and of the shares."""
        return next(name for name, rows in self.scenarios.items() if rows)

    def routers(self, scenario: str) -> list[Row]:
        """Rows of a scenario that are no baselines, best reward first."""
        return [row for row in self.scenarios[scenario] if not row.is_baseline]

    def row(self, scenario: str, router: str) -> Row | None:
        """One row, None where it is absent."""
        return next((row for row in self.scenarios[scenario] if row.router == router), None)

    @cached_property
    def router_names(self) -> list[str]:
        """All routers but the baselines, best of the first scenario first."""
        rows = (row.router for name in self.scenarios for row in self.routers(name))
        return list(dict.fromkeys(rows))

    @cached_property
    def best_single_arm(self) -> int | None:
        """Column of the best single arm of the first seed, by where its row sent the queries."""
        totals = self.arm_totals("best_single")
        return totals.index(max(totals)) if any(totals) else None

    def arm_totals(self, router: str) -> list[int]:
        """Test queries that a router sent to every arm."""
        return [sum(column) for column in zip(*self.details.shares.get(router, []), strict=True)]

    def gain(self, scenario: str, row: Row) -> float | None:
        """Quality minus the best single arm's; None where the two means are not comparable."""
        if row.gain is not None:
            return row.gain
        best = self.row(scenario, "best_single")
        if best is None or best.quality is None or row.quality is None:
            return None
        return row.quality - best.quality if row.fully_scored and best.fully_scored else None


def read(evaluation: Mapping[str, Any]) -> Document:
    """Checks an evaluation in JSON form.

    Raises:
        FormatError: It is malformed; the message names the key.
    """
    return checked(Document, evaluation, "evaluate --json")


def _pair(values: list[float | None] | None) -> Point | None:
    if values is None or values[0] is None or values[1] is None:
        return None
    return values[0], values[1]


def _matrix(rows: list[Any], shape: tuple[int, int], name: str) -> None:
    if len(rows) != shape[0] or any(len(row) != shape[1] for row in rows):
        widths = sorted({len(row) for row in rows})
        msg = f"{name} has {len(rows)} rows of {widths} values, expected {shape[0]} of {shape[1]}"
        raise ValueError(msg)
