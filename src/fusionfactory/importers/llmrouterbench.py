"""LLMRouterBench: a folder tree `<dataset>/<split>/<model>/*.json` of runs with their records."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.errors import FormatError
from fusionfactory.importers.files import JsonObject, read_json
from fusionfactory.importers.rows import Rows, needed

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["read"]

_FIELDS = {
    "task_name": "dataset_name",
    "task_id": "index",
    "query": "origin_query",
    "ground_truth": "ground_truth",
    "split": "split",
    "llm": "model_name",
    "input_tokens_num": "prompt_tokens",
    "output_tokens_num": "completion_tokens",
    "performance": "score",
    "cost_usd": "cost",
    "response": "prediction",
}
_STAMP = re.compile(r"(\d{8})_(\d{6})\.json$")


def read(path: str | Path) -> OutcomeTable:
    """Reads every run below a folder; of a model's runs on one split the newest that is no demo.

    A null score is missing, not 0. Costs are USD. Rows in messages are records of a file.

    Args:
        path: `results/bench` or any folder above or below it, or one run's `.json`.

    Raises:
        FormatError: The content is malformed.
    """
    path = Path(path)
    runs: dict[tuple[str, str, str], tuple[Path, JsonObject]] = {}
    files = sorted(path.rglob("*.json"), key=_age) if path.is_dir() else [path]
    for file in files:
        run = read_json(file)
        if not isinstance(run, dict) or "records" not in run:
            if path.is_dir():
                continue
            msg = "missing; expected an object with records, model_name, dataset_name, split"
            raise FormatError(msg, file=file, field="records")
        dataset, split, model = (
            str(needed(run, name, file, 1)) for name in ("dataset_name", "split", "model_name")
        )
        if not run.get("demo"):
            runs[dataset, split, model] = (file, run)
    rows = Rows(_FIELDS)
    for names, (file, run) in sorted(runs.items()):
        _add_run(rows, file, run, dict(zip(("task_name", "split", "llm"), names, strict=True)))
    return rows.table(path)


def _age(file: Path) -> tuple[str, str]:
    stamp = _STAMP.search(file.name)
    return ("".join(stamp.groups()) if stamp else "", file.name)


def _add_run(rows: Rows, file: Path, run: JsonObject, names: dict[str, str]) -> None:
    records = run["records"]
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        msg = "is no list of objects"
        raise FormatError(msg, file=file, field="records")
    for row, record in enumerate(records, start=1):
        own = {
            "task_id": needed(record, "index", file, row),
            "query": needed(record, "origin_query", file, row),
        }
        response = record.get("raw_output")
        if not isinstance(response, str):
            response = record.get("prediction")
        others = {name: record.get(field) for name, field in _FIELDS.items() if name not in names}
        rows.add(file, row, {**others, **own, **names, "response": response})
