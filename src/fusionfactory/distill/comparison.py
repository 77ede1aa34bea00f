"""Students against the model before training, and against the label-only control, on test queries.

Every row is read on the same queries: those that all compared arms answered. What an arm missed
stays missing, and an arm or a task with too many gaps is left out by name. No student is chosen
here: all that were named are rows, and one may be marked that was named beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.distill.comparing.alarms import alarms
from fusionfactory.distill.comparing.flips import flips, holm
from fusionfactory.distill.comparing.lineup import STUDENT, Lineup
from fusionfactory.distill.comparing.statements import statements
from fusionfactory.errors import DistillError
from fusionfactory.footing import Footing
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.standing import Standings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["KIND", "TOLERANCE", "compare_students"]

KIND = "distill"
"""The value of `kind` by which a report knows the document."""

TOLERANCE = 0.02
"""Loss on a task or domain that raises no alarm while it may be chance: two points."""


def compare_students(
    table: OutcomeTable,
    *,
    before: str,
    students: Sequence[str],
    control: str | None = None,
    teachers: Sequence[str] = (),
    recommended: str | None = None,
    strategy: str = "direct",
    tasks: Sequence[str] = (),
    test_split: str = "test",
    tolerance: float = TOLERANCE,
    min_coverage: float = MIN_COVERAGE,
    cut_off: FloatArray | None = None,
    records: Mapping[str, Mapping[str, Any]] | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Rows, flips, alarms and claims as JSON values; null where nothing is known.

    Args:
        table: n queries by m arms.
        before: Arm of the model before training; models without a strategy mean `strategy`.
        students: Arms that were trained from it.
        control: Arm of the student that was trained on the labels alone.
        teachers: Arms to measure by.
        recommended: The student that was named before the test outcomes were seen.
        strategy: How all were asked.
        tasks: Only these; none for all.
        test_split: Of the queries that every figure is a mean over.
        tolerance: Loss that raises no alarm while it may be chance, in quality.
        min_coverage: Share of a task's test queries that an arm must have answered.
        cut_off: (n, m) 1 where the token limit cut an answer off, else 0; NaN where unknown.
        records: Name of a student, without strategy or with, to how it was made.
        draws: Bootstrap resamples.
        seed: Of the resamples.

    Raises:
        DistillError: An arm or task is not there, has two roles, or nothing is left to compare.
    """
    lineup = Lineup.of(before, students, control, teachers, recommended, strategy)
    even = _footing(table, lineup, tasks, test_split, min_coverage)
    common = even.table.rows(even.rows)
    standings = Standings(common, even.asked, draws, seed)
    picks = {name: np.full(len(common), column) for column, name in enumerate(common.arm_names)}
    against = {
        name: picks[name] for name in (lineup.before, lineup.control) if name in picks and name
    }
    cut = None if cut_off is None else _columns(cut_off, table, even)
    rows = [
        {"name": name, "label": lineup.label(name), "kind": lineup.kind(name)}
        | {"missing": even.missing[name]}
        | {"cut_share": None if cut is None else standings.mean(cut, columns)}
        | standings.row(columns, against)
        for name, columns in picks.items()
    ]
    shown = [row for row in rows if row["kind"] == STUDENT]
    flipped = _flips(common, [row["name"] for row in shown], standings.tasks)
    whole = {"name": "average", "queries": len(common)}
    scopes = {"average": [whole], "domain": standings.domains, "task": standings.tasks}
    return {
        "kind": KIND,
        "facts": {
            "queries": len(table),
            "fingerprint": table.fingerprint(),
            "cost_basis": table.cost_basis,
            "strategy": strategy,
            "test_split": test_split,
            "tolerance": tolerance,
            "min_coverage": min_coverage,
            "draws": draws,
            "seed": seed,
            "intervals": len(shown) * sum(map(len, scopes.values())),
        },
        "before": lineup.before,
        "control": lineup.control if lineup.control in picks else None,
        "recommended": lineup.recommended,
        "yardstick": lineup.yardstick,
        "queries": len(common),
        "asked": sum(even.asked.values()),
        "tasks": standings.tasks,
        "domains": standings.domains,
        "rows": rows,
        "flips": flipped,
        "alarms": [
            alarm for row in shown for alarm in alarms(row, scopes, lineup.before, tolerance)
        ],
        "statements": [
            made
            for row in shown
            for made in statements(row, standings.tasks, flipped[row["name"]], lineup, tolerance)
        ],
        "arms_left_out": even.arms_left_out,
        "tasks_left_out": even.tasks_left_out,
        "students": _records(lineup, records or {}),
    }


def _footing(
    table: OutcomeTable,
    lineup: Lineup,
    tasks: Sequence[str],
    test_split: str,
    min_coverage: float,
) -> Footing:
    for name in lineup:
        if name not in table.arm_names:
            msg = f"no arm {name!r} has outcomes: collect and score it first; there are: "
            raise DistillError(msg + ", ".join(table.arm_names), field="arms")
    table = table.select_arms(list(lineup))
    if tasks:
        known = sorted(set(table.tasks.tolist()))
        absent = next((task for task in tasks if task not in known), None)
        if absent is not None:
            msg = f"no task {absent!r}; there are: {', '.join(known)}"
            raise DistillError(msg, field="task")
        table = table.rows(np.isin(table.tasks, list(tasks)))
    splits = sorted(set(table.queries["split"].drop_nulls()))
    if test_split not in splits:
        msg = f"no query is of the split {test_split!r}; there are: {', '.join(splits) or 'none'}"
        raise DistillError(msg, field="split")
    even = Footing.of(table, test_split, min_coverage, lineup.label(lineup.before))
    left_out = even.arms_left_out | even.tasks_left_out
    gaps = "; ".join(f"{name}: {why}" for name, why in left_out.items())
    if not even.rows.size:
        msg = (
            f"no query of the split {test_split!r} was answered and scored for all of "
            f"{', '.join(lineup)}: collect and score them first ({gaps})"
        )
        raise DistillError(msg, field="performance")
    if not set(lineup.students) & set(even.table.arm_names):
        msg = f"no student is scored on enough test queries to be compared ({gaps})"
        raise DistillError(msg, field="performance")
    return even


def _columns(cells: FloatArray, table: OutcomeTable, even: Footing) -> FloatArray:
    """The cells of the arms and queries that are compared."""
    columns = [table.arm_names.index(name) for name in even.table.arm_names]
    ids = even.table.queries["query_id"].gather(even.rows)
    places = {name: row for row, name in enumerate(table.queries["query_id"])}
    return cells[np.ix_([places[name] for name in ids], columns)]


def _flips(
    common: OutcomeTable, students: Sequence[str], tasks: Sequence[Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Per student and task, corrected for all of them; the first arm is the one before."""
    groups = common.groups()
    found: dict[str, list[dict[str, Any]]] = {}
    for name in students:
        gained = common.quality[:, common.arm_names.index(name)] - common.quality[:, 0]
        mine = (common.tasks == task["name"] for task in tasks)
        found[name] = [flips(gained[rows], groups[rows]) for rows in mine]
    every = [flip for parts in found.values() for flip in parts]
    for flip, p_holm in zip(every, holm([flip["p"] for flip in every]), strict=True):
        flip["p_holm"] = p_holm
    return found


def _records(
    lineup: Lineup, records: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """How students, the control among them, were made: by the names of their rows."""
    named = [name for name in lineup if name != lineup.before]
    found = {name: records.get(name, records.get(name.partition("|")[0])) for name in named}
    return {name: dict(record) for name, record in found.items() if record}
