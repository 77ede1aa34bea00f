"""What a table says of arms and tasks in the mean, as sums that blocks of it add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fusionfactory.arm_order import best_arm, cheapest_arm, dearest_arm
from fusionfactory.errors import TableError
from fusionfactory.missing import CellSums
from fusionfactory.policy import Normaliser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, FloatArray, IntArray

__all__ = ["OutcomeSums"]


@dataclass
class _TaskSums:
    """Of one task: (k, m) sums over its cells; ranges of quality and cost."""

    counts: IntArray
    totals: FloatArray
    ranges: FloatArray
    queries: int = 0


class OutcomeSums:
    """Means of arms and tasks over any number of blocks of one table, however long it is.

    They take m x m numbers, and 7 x m for every task. What they tell is what an `OutcomeTable` of
    all blocks would tell, up to rounding; methods of the same name mean the same.

    Args:
        arms: Of every block, in this order.
    """

    def __init__(self, arms: tuple[Arm, ...]) -> None:
        self.arms = arms
        self.queries = 0
        self._cells = CellSums(len(arms))
        self._tasks: dict[str, _TaskSums] = {}

    @classmethod
    def of(cls, *blocks: OutcomeTable) -> Self:
        """The sums of some blocks, at least one."""
        return cls(blocks[0].arms).extend(blocks)

    def extend(self, blocks: Iterable[OutcomeTable]) -> Self:
        """Takes in blocks one by one."""
        for block in blocks:
            self.add(block)
        return self

    def add(self, table: OutcomeTable) -> Self:
        """Takes in a block.

        Raises:
            TableError: Its arms are others.
        """
        if table.arms != self.arms:
            msg = f"a block has the arms {table.arm_names}, expected {self.arm_names}"
            raise TableError(msg, field="llm")
        self.queries += len(table)
        self._cells.add(table.quality)
        tasks = table.tasks
        for name in np.unique(tasks):
            mask = tasks == name
            self._add_task(str(name), table.quality[mask], table.cost_usd[mask])
        return self

    def _add_task(self, name: str, quality: FloatArray, cost: FloatArray) -> None:
        m = len(self.arms)
        if name not in self._tasks:
            unseen = np.array([np.inf, -np.inf, np.inf, -np.inf])
            self._tasks[name] = _TaskSums(
                np.zeros((3, m), dtype=np.int64), np.zeros((4, m)), unseen
            )
        sums = self._tasks[name]
        scored, priced = ~np.isnan(quality), ~np.isnan(cost)
        both = scored & priced
        sums.queries += len(quality)
        sums.counts += np.stack([cells.sum(axis=0) for cells in (scored, priced, both)])
        kept = ((quality, scored), (cost, priced), (quality, both), (cost, both))
        sums.totals += np.stack([np.where(mask, cells, 0.0).sum(axis=0) for cells, mask in kept])
        for at, cells, mask in ((0, quality, scored), (2, cost, priced)):
            known = cells[mask]
            if known.size:
                sums.ranges[at] = min(sums.ranges[at], known.min())
                sums.ranges[at + 1] = max(sums.ranges[at + 1], known.max())

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Names of the m arms."""
        return tuple(arm.name for arm in self.arms)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The t task names, sorted; an absent name is the empty string."""
        return tuple(sorted(self._tasks))

    @property
    def task_queries(self) -> IntArray:
        """(t,) queries of every task."""
        return np.array([self._tasks[task].queries for task in self.tasks])

    @property
    def has_costs(self) -> bool:
        """Whether any cell carries a cost."""
        return bool(self._stacked("counts")[:, 1].any())

    def _stacked(self, name: str) -> NDArray[Any]:
        """(t, k, m) sums of all tasks."""
        return np.stack([getattr(self._tasks[task], name) for task in self.tasks])

    def cells(self) -> IntArray:
        """(m,) scored cells."""
        return self._cells.count

    def coverage(self) -> dict[str, float]:
        """Share of the queries on which each arm has a quality."""
        share = self._cells.count / max(self.queries, 1)
        return dict(zip(self.arm_names, share.tolist(), strict=True))

    def arm_quality(self) -> FloatArray:
        """(m,) adjusted mean quality."""
        return self._cells.means()

    def arm_cost_usd(self) -> FloatArray:
        """(m,) mean USD per query; NaN where unknown."""
        count = self._stacked("counts")[:, 1].sum(axis=0)
        return _mean(self._stacked("totals")[:, 1].sum(axis=0), count)

    def best_single(self) -> int:
        """Column of the arm with the highest mean quality.

        Raises:
            TableError: No cell carries a quality.
        """
        return best_arm(self.arm_names, self.arm_quality(), self.arm_cost_usd(), self.cells())

    def cheapest(self) -> int:
        """Column of the arm with the lowest mean cost."""
        return cheapest_arm(self.arm_names, self.arm_quality(), self.arm_cost_usd())

    def dearest(self) -> int:
        """Column of the arm with the highest mean cost."""
        return dearest_arm(self.arm_names, self.arm_quality(), self.arm_cost_usd())

    def normaliser(self) -> Normaliser:
        """The tasks' ranges of quality and cost."""
        ranges = {task: sums.ranges for task, sums in self._tasks.items()}
        return Normaliser.of({t: np.where(np.isfinite(r), r, 0.0) for t, r in ranges.items()})

    def quality(self) -> tuple[FloatArray, IntArray]:
        """(t, m) sums of quality and scored cells of every task."""
        return self._stacked("totals")[:, 0], self._stacked("counts")[:, 0]

    def reward(self, policy: Policy, normaliser: Normaliser) -> tuple[FloatArray, IntArray]:
        """(t, m) sums of a policy's reward, and the cells that they are sums of.

        Args:
            policy: See `Contest.reward` for what its reward is.
            normaliser: Of the same tasks.
        """
        totals, counts = self._stacked("totals"), self._stacked("counts")
        costly = policy.beta > 0
        quality, cost = (totals[:, 2], totals[:, 3]) if costly else (totals[:, 0], None)
        cells = counts[:, 2 if costly else 0]
        if not policy.normalised:
            if cost is None:
                return quality, cells
            return quality - cost * (policy.beta / policy.alpha), cells
        weights = normaliser.one_hot(self.tasks)
        slopes = np.stack(normaliser.slopes(weights, len(weights)), axis=1)
        low = weights @ normaliser.ranges_[:, [0, 2]]
        gain = policy.alpha * (quality - cells * low[:, :1]) * slopes[:, :1]
        if cost is None:
            return gain, cells
        return gain - policy.beta * (cost - cells * low[:, 1:]) * slopes[:, 1:], cells


def _mean(total: FloatArray, count: IntArray) -> FloatArray:
    unknown = np.full(np.shape(total), np.nan)
    return np.asarray(np.divide(total, count, out=unknown, where=count > 0))
