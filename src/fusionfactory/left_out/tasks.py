"""Leave one task out: what a router does on a task of which it has seen nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from fusionfactory.errors import TableError
from fusionfactory.left_out.setting import Setting
from fusionfactory.metrics import mean_cost, mean_or_nan, taken
from fusionfactory.missing import MIN_COVERAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fusionfactory.evaluation import Progress
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Part", "leave_tasks_out", "parts_of"]

Part: TypeAlias = Literal["task", "domain"]

_FEWEST_QUERIES = 20


def leave_tasks_out(
    table: OutcomeTable,
    routers: Sequence[str] = ("stack",),
    *,
    by: Part = "task",
    scenario: str = "performance",
    seed: int = 0,
    encoder: str = "text",
    min_coverage: float = MIN_COVERAGE,
    draws: int = 1000,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fits routers on all tasks but one and measures them on that one, for every task.

    The best single arm is that of the other tasks, too. Near-duplicates of a task's queries are
    left out with them.

    Args:
        table: Outcomes of at least two tasks with twenty queries each.
        routers: Specifications as for `make_router`.
        by: What is left out: a task, or a domain.
        scenario: Policy as for `Policy.parse`.
        seed: Of the routers.
        encoder: Default encoder of the routers.
        min_coverage: Arms that are scored on a smaller share of the queries are left out.
        draws: Bootstrap resamples.
        progress: Called before every fit with steps done, steps in all, and a label.

    Returns:
        JSON values: per router the rows of all tasks and an `overall` row, each with the paired
        `gain` over the best single arm and its `ci95`; NaN where unknown.

    Raises:
        TableError: There are fewer than two tasks, or fewer than two arms.
        PolicyError: The scenario is unknown or cannot be run.
        UnknownNameError: A router, or a parameter of one, is unknown.
    """
    setting = Setting.of(table, routers, scenario, encoder, seed, min_coverage, draws, 2)
    names, left_out = parts_of(setting.table, by)
    total, found = len(names) * len(routers), []
    for number, spec in enumerate(routers):
        rows, places, gains = [], [], []
        for place, name in enumerate(names):
            if progress:
                progress(number * len(names) + place, total, f"{spec} without {name}")
            row, where, gain = _without(setting, spec, _labels(setting.table, by) == name)
            rows.append({"name": name} | row | setting.gain([where], [gain]))
            places.append(where)
            gains.append(gain)
        found.append({"router": spec, "rows": rows, "overall": setting.gain(places, gains)})
    return {
        "by": by,
        "policy": setting.policy.name,
        "seed": seed,
        "arms": len(setting.table.arms),
        "too_small": left_out,
        "routers": found,
    }


def _labels(table: OutcomeTable, by: Part) -> NDArray[np.str_]:
    if by == "task":
        return table.tasks
    return np.asarray(table.queries["domain"].fill_null("").to_list(), dtype=np.str_)


def parts_of(table: OutcomeTable, by: Part) -> tuple[list[str], dict[str, int]]:
    """Names that have queries enough, and the sizes of the others, which are always learnt from.

    Raises:
        TableError: There are fewer than two tasks or domains, or none has enough queries.
    """
    names, counts = np.unique(_labels(table, by), return_counts=True)
    sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
    kept = [name for name, count in sizes.items() if count >= _FEWEST_QUERIES]
    if len(sizes) < 2 or not kept:
        other = "domain" if by == "task" else "task"
        msg = (
            f"needs at least two {by}s, one of them with {_FEWEST_QUERIES} queries, got "
            f"{len(sizes)}, the largest with {max(sizes.values())}: leave out by {other}, or name "
            f"the {by}s of the queries"
        )
        raise TableError(msg, field=by)
    return kept, {name: count for name, count in sizes.items() if name not in kept}


def _without(
    setting: Setting, spec: str, held: BoolArray
) -> tuple[dict[str, Any], IntArray, FloatArray]:
    """Figures on the held queries, their rows, and (n,) gains over the best single arm."""
    table, groups = setting.table, setting.table.groups()
    train = table.rows(~np.isin(groups, groups[held]))
    where = np.nonzero(held)[0]
    test = table.rows(where)
    router = setting.fitted(spec, train)
    chosen = setting.picks(router, test)
    best = train.best_single()
    quality, single = taken(test.quality, chosen), test.quality[:, best]
    shares = np.bincount(chosen, minlength=len(table.arms)) / len(chosen)
    top = int(shares.argmax())
    row = {
        "queries": len(test),
        "train_queries": len(train),
        "single": table.arm_names[best],
        "single_quality": mean_or_nan(single),
        "quality": mean_or_nan(quality),
        "single_cost_usd": mean_cost(test.cost_usd[:, best]),
        "cost_usd": mean_cost(taken(test.cost_usd, chosen)),
        "top": table.arm_names[top],
        "top_share": float(shares[top]),
    }
    return row, where, quality - single
