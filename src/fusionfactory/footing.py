"""The equal footing of a comparison: arms and queries that can be held against each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, IntArray

__all__ = ["Footing"]


@dataclass(frozen=True)
class Footing:
    """What is compared.

    Attributes:
        table: All queries and the arms compared, the baseline first.
        rows: (n,) of the queries that all these arms answered; empty where there is none.
        asked: Task to its number of queries in the split, for the tasks compared.
        arms_left_out: Name of an arm to why it is not compared.
        tasks_left_out: Task to why it is not compared.
        missing: Name of each arm compared to how many of the queries asked it has no score on.
    """

    table: OutcomeTable
    rows: IntArray
    asked: dict[str, int]
    arms_left_out: dict[str, str]
    tasks_left_out: dict[str, str]
    missing: dict[str, int]

    @classmethod
    def of(cls, table: OutcomeTable, split: str, min_coverage: float, baseline: str) -> Footing:
        """Leaves out tasks that the baseline, then arms that a task's queries lack too often.

        Args:
            table: The arms, the baseline first.
            split: Of the queries.
            min_coverage: Share of a task's queries that an arm must be scored on.
            baseline: What the first arm is called.
        """
        tested = (table.queries["split"] == split).fill_null(value=False).to_numpy()
        asked = Counter(table.tasks[tested].tolist())
        shares = {t: _share(table, tested & (table.tasks == t)) for t in sorted(asked)}
        kept = {task: share for task, share in shares.items() if share[0] >= min_coverage}
        tasks_out = {
            task: f"{baseline} is scored on {share[0]:.0%} of its test queries"
            for task, share in shares.items()
            if task not in kept
        }
        names, arms_out = [], {}
        for column, name in enumerate(table.arm_names if kept else ()):
            worst = min(kept, key=lambda task: kept[task][column])
            share = kept[worst][column]
            if share >= min_coverage:
                names.append(name)
            else:
                arms_out[name] = f"scored on {share:.0%} of the test queries of {worst}"
        common = tested & np.isin(table.tasks, list(kept)) & bool(names)
        missing: dict[str, int] = {}
        if names:
            table = table.select_arms(names)
            seen = table.observed()
            missing = dict(zip(names, (~seen[common]).sum(axis=0).tolist(), strict=True))
            common &= seen.all(axis=1)
        counts = {task: asked[task] for task in kept}
        return cls(table, np.nonzero(common)[0], counts, arms_out, tasks_out, missing)


def _share(table: OutcomeTable, rows: BoolArray) -> list[float]:
    """Share of these queries that each arm is scored on."""
    return [float(share) for share in table.observed()[rows].mean(axis=0)]
