"""The rows of a comparison: means by task, domain and overall, and paired intervals against others.

A row says which arm answered each query; a single arm always itself, a gate the arm that it decides
for. A domain is the mean of its tasks and the average the mean of all tasks, however many queries
each has.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.intervals import Bootstrap
from fusionfactory.metrics import mean_cost, taken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Standings", "measured", "number"]

_NOTHING = 1e-12


@dataclass(frozen=True)
class _Scope:
    """A task, a domain or everything: the rows of each of its tasks, which weigh the same."""

    name: str
    parts: list[IntArray]

    def mean(self, values: FloatArray) -> float:
        return float(np.mean([values[part].mean() for part in self.parts]))

    @property
    def queries(self) -> int:
        return sum(len(part) for part in self.parts)


class Standings:
    """Measures rows on the queries that all of them answered.

    Args:
        table: The n common queries by the arms that rows are made of.
        asked: Task to its number of test queries, for the tasks compared.
        draws: Bootstrap resamples, the same for every row.
        seed: Of the resamples.
    """

    def __init__(
        self, table: OutcomeTable, asked: Mapping[str, int], draws: int, seed: int
    ) -> None:
        self._table = table
        self._groups = table.groups()
        self._bootstrap = Bootstrap(self._groups, draws, seed)
        self._tasks = [
            _Scope(task, [np.nonzero(table.tasks == task)[0]])
            for task in asked
            if (table.tasks == task).any()
        ]
        self._domain_of = {scope.name: self._domain(scope.parts[0]) for scope in self._tasks}
        domains: dict[str, list[IntArray]] = {}
        for scope in self._tasks:
            domains.setdefault(self._domain_of[scope.name], []).extend(scope.parts)
        self._domains = [_Scope(name, parts) for name, parts in domains.items()]
        self._all = _Scope("average", [part for scope in self._tasks for part in scope.parts])
        self._asked = asked

    def _domain(self, rows: IntArray) -> str:
        """The domain of most of these queries; empty where they have none."""
        mine = self._table.queries["domain"].gather(rows).fill_null("")
        counts: Counter[str] = Counter(mine.to_list())
        return min(counts, key=lambda name: (-counts[name], name))

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """Name, domain, common queries and test queries of every task."""
        return [
            {
                "name": scope.name,
                "domain": self._domain_of[scope.name],
                "queries": scope.queries,
                "asked": self._asked[scope.name],
            }
            for scope in self._tasks
        ]

    @property
    def domains(self) -> list[dict[str, Any]]:
        """Name, tasks and common queries of every domain."""
        return [
            {"name": scope.name, "tasks": len(scope.parts), "queries": scope.queries}
            for scope in self._domains
        ]

    def row(self, picks: IntArray, against: Mapping[str, IntArray]) -> dict[str, Any]:
        """Figures of one row.

        Args:
            picks: (n,) column of the arm that answered each common query.
            against: Name to the (n,) columns of a row to hold it against; the first one is the one
                that the worst task is measured by.
        """
        quality = taken(self._table.quality, picks)
        others = {name: taken(self._table.quality, columns) for name, columns in against.items()}
        tasks = [self._figures(scope, quality, others) for scope in self._tasks]
        first = next(iter(against))
        worst = min(range(len(tasks)), key=lambda i: tasks[i]["against"][first]["gain"])
        return self._figures(self._all, quality, others) | {
            "cost_usd": self.mean(self._table.cost_usd, picks),
            "input_tokens": self.mean(self._table.input_tokens, picks),
            "output_tokens": self.mean(self._table.output_tokens, picks),
            "worst_task": {"name": self._tasks[worst].name, **tasks[worst]["against"][first]},
            "tasks": tasks,
            "domains": [self._figures(scope, quality, others) for scope in self._domains],
        }

    def mean(self, cells: FloatArray, picks: IntArray) -> float | None:
        """Mean over tasks, as quality is; None where a task's cells are not known well enough.

        Args:
            cells: (n, m) of the table's queries and arms, NaN where unknown.
            picks: (n,) column of the arm that answered each query.
        """
        values = taken(cells, picks)
        return number(float(np.mean([mean_cost(values[part]) for part in self._all.parts])))

    def _figures(
        self, scope: _Scope, quality: FloatArray, others: Mapping[str, FloatArray]
    ) -> dict[str, Any]:
        return {
            "quality": number(scope.mean(quality)),
            "against": {
                name: self._difference(scope, quality - other) for name, other in others.items()
            },
        }

    def _difference(self, scope: _Scope, differences: FloatArray) -> dict[str, Any]:
        """Gain and its 95 % interval; none where one query alone would have to tell."""
        parts = scope.parts
        if any(len(np.unique(self._groups[part])) < 2 for part in parts):
            low = high = float("nan")
        else:
            low, high = self._bootstrap.interval(parts, [differences[part] for part in parts])
        return {"gain": number(scope.mean(differences)), "ci95": [number(low), number(high)]}


def number(value: float) -> float | None:
    """A JSON number of ten significant digits, 0 for what is left of equal sums; None for NaN."""
    if not np.isfinite(value):
        return None
    return 0.0 if abs(value) < _NOTHING else float(f"{value:.10g}")


def measured(figure: Mapping[str, Any]) -> str:
    """A difference in words: `+4.3 points (95 % interval +1.0 to +7.5)`."""
    low, high = figure["ci95"]
    if low is None:
        return f"{_points(figure['gain'])} points, no interval"
    return f"{_points(figure['gain'])} points (95 % interval {_points(low)} to {_points(high)})"


def _points(value: float) -> str:
    text = f"{100 * value:+.1f}"
    return "0.0" if not text.strip("+-0.") else text.replace("-", "−")
