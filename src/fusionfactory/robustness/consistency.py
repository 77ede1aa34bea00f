"""How steady decisions are: the share that an edit changes, and what the change costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.intervals import Bootstrap
from fusionfactory.metrics import mean_or_nan, taken
from fusionfactory.robustness.edits import EDITS, edited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.policy import Policy
    from fusionfactory.robustness.edits import Edit
    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import IntArray

__all__ = ["Shift", "consistency", "decided", "shift"]


@dataclass(frozen=True, slots=True)
class Shift:
    """What an edit of the questions does to a router's decisions.

    Every arm is taken to answer the edited question as it answered the original one, so this is
    the loss of routing alone.

    Attributes:
        edit: Its name.
        flipped: Share of the queries that another arm gets.
        quality_lost: Mean quality before the edit - after it.
        quality_ci95: Its paired interval.
        cost_added_usd: Mean USD per query after the edit - before it; NaN without costs.
        cost_ci95: Its paired interval.
    """

    edit: str
    flipped: float
    quality_lost: float
    quality_ci95: tuple[float, float]
    cost_added_usd: float
    cost_ci95: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def consistency(
    router: Router,
    table: OutcomeTable,
    policy: Policy,
    edits: Sequence[Edit] = EDITS,
    *,
    seed: int = 0,
    draws: int = 1000,
) -> list[Shift]:
    """One row per edit, the most flips first.

    Args:
        router: Fitted.
        table: n held-out queries with the outcomes of at least the router's arms.
        policy: To choose by.
        edits: What to do to the questions.
        seed: Of the edits and the resamples.
        draws: Bootstrap resamples.

    Raises:
        NotFittedError: The router is not fitted.
        TableError: The table lacks an arm of the router.
    """
    before = decided(router, table.texts, policy)
    table = table.select_arms([arm.name for arm in router.arms_])
    bootstrap = Bootstrap(table.groups(), draws, seed)
    shifts = [
        shift(e.name, table, before, decided(router, edited(table.texts, e, seed), policy),
              bootstrap)
        for e in edits
    ]  # fmt: skip
    return sorted(shifts, key=lambda s: -s.flipped)


def decided(router: Router, texts: Sequence[str], policy: Policy) -> IntArray:
    """(n,) columns of the arms that the router chooses for the texts."""
    return router.choose(router.estimate(texts), policy)


def shift(
    name: str, table: OutcomeTable, before: IntArray, after: IntArray, bootstrap: Bootstrap
) -> Shift:
    """What it means that queries go to other arms than before.

    Args:
        name: Of what was done to the queries.
        table: Their n outcomes, arms in the router's order.
        before: (n,) columns chosen before.
        after: (n,) columns chosen after.
        bootstrap: Of the table's groups.
    """
    lost = taken(table.quality, before) - taken(table.quality, after)
    added = taken(table.cost_usd, after) - taken(table.cost_usd, before)
    rows = [np.arange(len(table))]
    return Shift(
        name,
        float((before != after).mean()),
        mean_or_nan(lost),
        bootstrap.interval(rows, [lost]),
        mean_or_nan(added),
        bootstrap.interval(rows, [added]),
    )
