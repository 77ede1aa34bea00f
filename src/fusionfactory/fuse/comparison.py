"""The levels side by side, by task and domain: the paper's Table 6 for one's own outcomes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.errors import TableError
from fusionfactory.fuse.arena import stacked
from fusionfactory.fuse.levels import FUSED, LABELS, PLAN, SINGLE, TASK_LEVEL
from fusionfactory.metrics import taken
from fusionfactory.standing import Standings, measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.fuse.bout import Bout
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray

__all__ = ["compare_levels"]

_VERDICTS = {
    True: "is better than",
    False: "is worse than",
    None: "is not clearly different from",
}


def compare_levels(bouts: Sequence[Bout], draws: int) -> dict[str, Any]:
    """Rows of levels, plans and the fused choice, held against the best single arm and task level.

    The test sides of all seeds stand one below the other, and a bootstrap draws all occurrences of
    a query together. A query counts where every row's answer to it is scored.

    Args:
        bouts: One per seed, all under one policy.
        draws: Bootstrap resamples.

    Raises:
        TableError: On no test query every row's answer is scored.
    """
    first = bouts[0]
    names = [SINGLE, *first.singles, *_others(first)]
    whole = stacked([bout.contest.test for bout in bouts])
    picks = {
        name: np.concatenate([b.contest.entries[name].picks[b.policy.name] for b in bouts])
        for name in names
    }
    kept = np.all([~np.isnan(taken(whole.quality, columns)) for columns in picks.values()], axis=0)
    if not kept.any():
        msg = "no test query has a score for every level's answer: score more, or leave arms out"
        raise TableError(msg, field="performance")
    table = whole.rows(kept)
    asked = Counter(whole.tasks.tolist())
    standings = Standings(table, asked, draws, seed=0)
    picks = {name: columns[kept] for name, columns in picks.items()}
    against = {name: picks[name] for name in (SINGLE, TASK_LEVEL)}
    rows = [
        {
            "name": name,
            "label": LABELS.get(name) or f"Plan {name.removeprefix(PLAN)}",
            "kind": _kind(name, first),
        }
        | standings.row(columns, against)
        for name, columns in picks.items()
    ]
    best = first.contest.train.arm_names[first.contest.best_single]
    return {
        "scenario": first.policy.name,
        "base": SINGLE,
        "fixed": TASK_LEVEL,
        "seeds": len(bouts),
        "queries": len(table),
        "asked": len(whole),
        "different": _different(whole, kept),
        "tasks": standings.tasks,
        "domains": standings.domains,
        "rows": rows,
        "statements": _statements(rows),
        "chosen": {SINGLE: best} | first.singles,
        "task_levels": first.task_levels,
    }


def _others(bout: Bout) -> list[str]:
    """Query level and plans as they are, then what chooses between levels."""
    known = (*bout.singles, TASK_LEVEL, FUSED)
    leveled = [name for name in bout.contest.entries if name in LABELS and name not in known]
    return [*(n for n in leveled if n != SINGLE), *bout.plans, TASK_LEVEL, FUSED]


def _kind(name: str, bout: Bout) -> str:
    named = {SINGLE: "single", TASK_LEVEL: "choice", FUSED: "fused"}
    return named.get(name, "plan" if name in bout.plans else "level")


def _different(whole: OutcomeTable, kept: BoolArray) -> int:
    return whole.queries.filter(kept)["query_id"].n_unique()


def _statements(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Whether the fused choice and the plans beat the best single arm and the best task level."""
    found = []
    for row in rows:
        if row["kind"] not in {"fused", "plan"}:
            continue
        for name, figure in row["against"].items():
            low, high = figure["ci95"]
            holds = None if low is None or low <= 0 <= high else bool(low > 0)
            verdict = _VERDICTS[holds]
            other = LABELS[name][0].lower() + LABELS[name][1:]
            words = f"{row['label']} {verdict} the {other}: {measured(figure)}."
            claim = "beats_single" if name == SINGLE else "beats_task_level"
            found.append({"row": row["name"], "claim": claim, "holds": holds, "words": words})
    return found
