"""FusionBench's router JSON: a list of queries, each with its candidates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.errors import FormatError
from fusionfactory.importers.files import read_objects
from fusionfactory.importers.rows import Rows, needed

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["read"]

_FIELDS = {
    "task_name": "task_name",
    "task_id": "task_id",
    "query": "query",
    "ground_truth": "ground_truth",
    "metric": "metric",
    "llm": "candidate_name",
    "performance": "performance",
    "cost": "cost",
}


def read(path: str | Path, *, task: str = "") -> OutcomeTable:
    """Reads `[{query, candidates: [{candidate_name, performance, cost, score}], ground_truth}]`.

    `cost` is 1e-6 USD. `score`, a mixture of both that depends on a scenario, is ignored.

    Args:
        path: The JSON file. Rows in messages are queries.
        task: Task of the queries that name none.

    Raises:
        FormatError: The content is malformed.
    """
    path = Path(path)
    rows = Rows(_FIELDS)
    for row, item in read_objects(path):
        query = needed(item, "query", path, row)
        candidates = needed(item, "candidates", path, row)
        if not isinstance(candidates, list) or not all(isinstance(c, dict) for c in candidates):
            msg = "is no list of objects"
            raise FormatError(msg, file=path, row=row, field="candidates")
        shared = {**item, "query": query, "task_name": item.get("task_name") or task}
        for candidate in candidates:
            arm = needed(candidate, "candidate_name", path, row)
            own = {"performance": candidate.get("performance"), "cost": candidate.get("cost")}
            rows.add(path, row, {**shared, **own, "llm": arm})
    return rows.table(path)
