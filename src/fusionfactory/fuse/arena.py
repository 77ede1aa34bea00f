"""One split on which arms, routers and plans meet: a plan is one more column of its tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fusionfactory.table import CELLS
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.contest import Contest
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["NO_ARM", "Answered", "fold_numbers", "only_arms", "stacked", "with_columns"]

NO_ARM = -1
"""In place of a column: a judge wrote the answer that is no arm of the table."""


@dataclass(frozen=True)
class Answered:
    """What a plan did on n queries.

    Attributes:
        quality: (n,) of the answer it gave; NaN where that is not scored.
        cost_usd: (n,) of all calls it made.
        arms: (n,) column of the arm whose answer it gave, or `NO_ARM`.
    """

    quality: FloatArray
    cost_usd: FloatArray
    arms: IntArray

    @classmethod
    def joined(cls, parts: Sequence[Answered]) -> Answered:
        """Parts one below the other."""
        return cls(
            np.concatenate([part.quality for part in parts]),
            np.concatenate([part.cost_usd for part in parts]),
            np.concatenate([part.arms for part in parts]),
        )

    def rows(self, index: IntArray) -> Answered:
        """Of these queries."""
        return Answered(self.quality[index], self.cost_usd[index], self.arms[index])


def with_columns(table: OutcomeTable, plans: Mapping[str, Answered]) -> OutcomeTable:
    """The table with every plan as an arm behind its own arms: quality and cost, nothing else."""
    if not plans:
        return table
    unknown = np.full((len(table), len(plans)), np.nan)
    added: dict[str, FloatArray] = dict.fromkeys(CELLS, unknown)
    added["quality"] = np.stack([plan.quality for plan in plans.values()], axis=1)
    added["cost_usd"] = np.stack([plan.cost_usd for plan in plans.values()], axis=1)
    cells: dict[str, Any] = {name: np.hstack([getattr(table, name), added[name]]) for name in CELLS}
    arms = (*table.arms, *(Arm(name) for name in plans))
    return replace(table, arms=arms, responses=None, samples=None, **cells)


def only_arms(contest: Contest, arms: Sequence[str]) -> Contest:
    """The same split among some of its arms, its scales of quality and cost unchanged."""
    train, test = (side.select_arms(arms) for side in (contest.train, contest.test))
    return replace(
        contest,
        train=train,
        test=test,
        best_single=train.best_single(),
        cheapest=train.cheapest(),
        entries={},
    )


def fold_numbers(table: OutcomeTable, folds: int, seed: int) -> IntArray:
    """(n,) number of the fold of every query; near-duplicates share one."""
    groups = table.groups()
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    return np.asarray((order % folds)[groups])


def stacked(tables: Sequence[OutcomeTable]) -> OutcomeTable:
    """Tables of the same arms one below the other; a query may occur in several.

    A bootstrap draws near-duplicates together, so it draws the occurrences of a query together.
    """
    first = tables[0]
    cells: dict[str, Any] = {
        name: np.vstack([getattr(table, name) for table in tables]) for name in CELLS
    }
    queries = pl.concat([table.queries for table in tables])
    return replace(first, queries=queries, responses=None, samples=None, **cells)
