"""The cost-quality curve of a cascade: one point for every price of quality, and their hull."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import PolicyError
from fusionfactory.metrics import mean_cost, mean_or_nan
from fusionfactory.plans.conformal import boldest
from fusionfactory.plans.replay import Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.answers import AnswerGroups
    from fusionfactory.plans.cascade import CascadePlan
    from fusionfactory.plans.replay import Replayed
    from fusionfactory.table import OutcomeTable

__all__ = ["Point", "curve", "guaranteed", "hull"]


@dataclass(frozen=True, slots=True)
class Point:
    """A plan run at one price.

    Attributes:
        step: Which of the plan's prices.
        quality: Mean over the queries whose outcome is recorded.
        cost_usd: Mean USD per query, over those whose calls all have a recorded cost.
    """

    step: int
    quality: float
    cost_usd: float


def curve(
    plan: CascadePlan, table: OutcomeTable, answers: AnswerGroups | None = None
) -> list[Point]:
    """The plan at every price on outcomes that it has not seen, cheapest first.

    Args:
        plan: Fitted.
        table: Held-out outcomes.
        answers: See `replay`.
    """
    runs = _runs(plan, table, answers)
    points = [
        Point(step, mean_or_nan(run.quality), mean_cost(run.cost_usd))
        for step, run in enumerate(runs)
    ]
    return sorted(points, key=lambda point: (point.cost_usd, point.quality))


def hull(points: Sequence[Point]) -> list[Point]:
    """The points that no mixture of others beats, cheapest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost_usd, -p.quality)):
        if kept and point.quality <= kept[-1].quality:
            continue
        while len(kept) > 1 and _slope(kept[-2], kept[-1]) <= _slope(kept[-2], point):
            kept.pop()
        kept.append(point)
    return kept


def guaranteed(
    plan: CascadePlan,
    table: OutcomeTable,
    *,
    loss: float | None = None,
    budget_usd: float | None = None,
    answers: AnswerGroups | None = None,
) -> CascadePlan:
    """The plan at the price whose loss or cost is guaranteed on new queries; see `boldest`.

    Args:
        plan: Fitted on other queries.
        table: Calibration outcomes.
        loss: Quality that may be lost, in expectation, against running the plan at price 0; the
            cheapest price that keeps it is taken.
        budget_usd: Mean USD per query that may be spent, as long as no query costs more than the
            dearest one here; the dearest price that keeps it is taken.
        answers: See `replay`.

    Raises:
        PolicyError: No price keeps what is asked, or not exactly one of the two is asked.
    """
    if (loss is None) == (budget_usd is None):
        msg = "name either a loss or a budget, and not both"
        raise PolicyError(msg)
    runs = _runs(plan, table, answers)
    if loss is not None:
        quality = np.stack([run.quality for run in runs], axis=1)
        known = ~np.isnan(quality).any(axis=1)
        if not known.any():
            msg = "no query has a recorded outcome at every price: a loss cannot be promised"
            raise PolicyError(msg)
        lost = np.clip(quality[known, :1] - quality[known], 0.0, None)
        return plan.at(boldest(lost, loss))
    assert budget_usd is not None  # noqa: S101  one of the two is given
    spent = np.stack([run.cost_usd for run in reversed(runs)], axis=1)
    spent = spent[~np.isnan(spent).any(axis=1)]
    if not len(spent):
        msg = "no query's calls all have a recorded cost: a budget cannot be promised"
        raise PolicyError(msg)
    return plan.at(len(runs) - 1 - boldest(spent, budget_usd, float(spent.max())))


def _runs(plan: CascadePlan, table: OutcomeTable, answers: AnswerGroups | None) -> list[Replayed]:
    recorded = Recorded.of(plan, table, answers)
    return [recorded.run(plan.at(step)) for step in range(len(plan.price_))]


def _slope(first: Point, second: Point) -> float:
    run = second.cost_usd - first.cost_usd
    return np.inf if run <= 0 else (second.quality - first.quality) / run
