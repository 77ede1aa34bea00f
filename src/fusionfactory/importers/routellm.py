"""RouteLLM: pairwise battles (JSON) and evaluation tables (CSV)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.errors import FormatError
from fusionfactory.importers.files import read_frame, read_objects
from fusionfactory.importers.rows import Rows, needed
from fusionfactory.importers.wide import from_wide, truth_as_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.table import OutcomeTable

__all__ = ["read", "score_columns"]

_WINS = {
    "model_a": (1.0, 0.0),
    "model_b": (0.0, 1.0),
    "tie": (0.5, 0.5),
    "tie (bothbad)": (0.5, 0.5),
}
_RESPONSE_SUFFIX = "_response"


def read(
    path: str | Path, *, models: Sequence[str] | None = None, task: str | None = None
) -> OutcomeTable:
    """Reads battles or an evaluation table.

    Battles `[{idx, model_a, model_b, winner}]` become quality 1 and 0, or 0.5 each for a tie. They
    carry no prompts: the query text is `battle <idx>`, so arms can be compared on them but no
    router that reads text can learn from them. For that, join the prompts and use `generic`.

    An evaluation CSV has `prompt` and one column per model (`True`/`False` or a score), and perhaps
    `<model>_response`.

    Args:
        path: A `.json`, `.jsonl` or `.csv` file.
        models: The model columns of a CSV; by default every column of truth values or numbers.
        task: Task of all queries; by default the name of the file without its ending.

    Raises:
        FormatError: The content is malformed.
    """
    path = Path(path)
    task = path.stem if task is None else task
    if path.suffix.lower() == ".csv":
        return _read_evaluation(path, models, task)
    rows = Rows(
        {"task_name": "task", "task_id": "idx", "query": "idx", "llm": "model_a",
         "performance": "winner"}
    )  # fmt: skip
    for row, item in read_objects(path):
        index, winner = needed(item, "idx", path, row), needed(item, "winner", path, row)
        if winner not in _WINS:
            msg = f"{winner!r} is none of {', '.join(_WINS)}"
            raise FormatError(msg, file=path, row=row, field="winner")
        for side, won in zip(("model_a", "model_b"), _WINS[winner], strict=True):
            values = {"llm": needed(item, side, path, row), "performance": won}
            rows.add(
                path,
                row,
                {"task_name": task, "task_id": index, "query": f"battle {index}", **values},
            )
    return rows.table(path)


def _read_evaluation(path: Path, models: Sequence[str] | None, task: str) -> OutcomeTable:
    frame = read_frame(path)
    scored = list(models) if models is not None else score_columns(frame)
    if not scored:
        msg = f"no column holds scores; found {', '.join(frame.columns)}"
        raise FormatError(msg, file=path)
    arms = {name: {"performance": name} for name in scored}
    for name in scored:
        if name + _RESPONSE_SUFFIX in frame.columns:
            arms[name]["response"] = name + _RESPONSE_SUFFIX
    return from_wide(frame, path, shared={"query": "prompt"}, arms=arms, task=task)


def score_columns(frame: pl.DataFrame) -> list[str]:
    """The columns of an evaluation table that hold truth values or numbers, but for its index."""
    return [name for name in frame.columns if name not in {"prompt", ""} and _is_score(frame, name)]


def _is_score(frame: pl.DataFrame, name: str) -> bool:
    values = frame.select(truth_as_number(frame, name).alias(name))[name]
    numbers = values.cast(pl.Float64, strict=False)
    return numbers.null_count() == values.null_count() < len(values)
