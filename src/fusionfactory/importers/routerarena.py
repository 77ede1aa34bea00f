"""RouterArena: cached results (a JSONL file per model) and a router's predictions (JSON)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import FormatError
from fusionfactory.importers.files import JsonObject, read_json, read_objects
from fusionfactory.importers.rows import Rows, needed

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["read"]

_FIELDS = {
    "task_name": "global_index",
    "task_id": "global_index",
    "query": "question",
    "ground_truth": "ground_truth",
    "metric": "metric",
    "llm": "llm_selected",
    "input_price": "input_token_price_per_million",
    "output_price": "output_token_price_per_million",
    "input_tokens_num": "input_tokens",
    "output_tokens_num": "output_tokens",
    "performance": "score",
    "cost_usd": "inference_cost",
    "response": "generated_answer",
}
_PREDICTED = {
    "query": "prompt",
    "llm": "prediction",
    "performance": "accuracy",
    "cost_usd": "cost",
}
"""What predictions call the same."""


def read(
    path: str | Path, *, cached_results: str | Path | None = None, prices: str | Path | None = None
) -> OutcomeTable:
    """Reads RouterArena's results. Evaluate on them; the benchmark forbids training on them.

    A failed call (`success` false or an `error`) has no score. Of several runs of a query the one
    with the lowest `run_number` counts. The task is the part of `global_index` before its last `_`.

    Args:
        path: A predictions `.json` (one cell per query), a model's cached `.jsonl`, or a folder of
            those (`cached_results`, or the folder that holds it).
        cached_results: Folder of cached results to add to a predictions file.
        prices: `model_cost.json`: model to USD per million input and output tokens.

    Raises:
        FormatError: The content is malformed.
    """
    path = Path(path)
    arms = _read_prices(Path(prices) if prices is not None else None)
    cells: dict[tuple[str, str], tuple[Path, int, JsonObject]] = {}
    texts: dict[str, str] = {}
    if path.suffix.lower() == ".json":
        for row, item in read_objects(path):
            cell = _predicted(item, path, row)
            texts[cell["task_id"]] = cell["query"]
            _add_new(cells, path, row, cell)
        files = _models(Path(cached_results)) if cached_results is not None else []
    else:
        files = _models(path)
    for file in files:
        runs = sorted(read_objects(file), key=lambda run: _run_number(run[1]))
        for row, item in runs:
            cell = _cached(item, file, row)
            cell["query"] = texts.setdefault(cell["task_id"], cell["query"])
            _add_new(cells, file, row, cell)
    rows = Rows(_FIELDS if files else _FIELDS | _PREDICTED)
    for file, row, cell in cells.values():
        rows.add(file, row, {**cell, **arms.get(str(cell["llm"]), {})})
    return rows.table(path)


def _add_new(
    cells: dict[tuple[str, str], tuple[Path, int, JsonObject]],
    file: Path,
    row: int,
    cell: JsonObject,
) -> None:
    cells.setdefault((cell["task_id"], cell["llm"]), (file, row, cell))


def _run_number(item: JsonObject) -> float:
    number = item.get("run_number")
    return number if isinstance(number, int | float) else 0


def _models(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    folder = path / "cached_results" if (path / "cached_results").is_dir() else path
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        msg = "the folder holds no cached results (*.jsonl)"
        raise FormatError(msg, file=folder)
    return files


def _read_prices(file: Path | None) -> dict[str, JsonObject]:
    if file is None:
        return {}
    prices = read_json(file)
    if not isinstance(prices, dict) or not all(isinstance(p, dict) for p in prices.values()):
        msg = "expected an object of model to {input_token_price_per_million, output_...}"
        raise FormatError(msg, file=file)
    names = {name: _FIELDS[name] for name in ("input_price", "output_price")}
    return {
        model: {name: price.get(field) for name, field in names.items()}
        for model, price in prices.items()
    }


def _place(index: object) -> JsonObject:
    name = str(index)
    return {"task_id": name, "task_name": name.rpartition("_")[0]}


def _cached(item: JsonObject, file: Path, row: int) -> JsonObject:
    judged = _object(item, "evaluation_result", file, row)
    return {
        **_place(needed(item, "global_index", file, row)),
        "query": needed(item, "question", file, row),
        "llm": str(item.get("llm_selected") or file.stem),
        "ground_truth": judged.get("ground_truth"),
        "metric": judged.get("metric"),
        **_answer(item, judged.get("score"), judged.get("inference_cost"), file, row),
    }


def _predicted(item: JsonObject, file: Path, row: int) -> JsonObject:
    result = _object(item, "generated_result", file, row)
    index = item.get("global_index", item.get("global index"))
    return {
        **_place(needed({"global index": index}, "global index", file, row)),
        "query": needed(item, "prompt", file, row),
        "llm": str(needed(item, "prediction", file, row)),
        **_answer(result, item.get("accuracy"), item.get("cost"), file, row),
    }


def _answer(
    result: JsonObject,
    score: Any,  # noqa: ANN401  any JSON
    cost: Any,  # noqa: ANN401  any JSON
    file: Path,
    row: int,
) -> JsonObject:
    failed = result.get("success") is False or bool(result.get("error"))
    usage = _object(result, "token_usage", file, row)
    return {
        "performance": None if failed else score,
        "cost_usd": cost,
        "input_tokens_num": usage.get("input_tokens"),
        "output_tokens_num": usage.get("output_tokens"),
        "response": result.get("generated_answer"),
    }


def _object(item: JsonObject, name: str, file: Path, row: int) -> JsonObject:
    value = item.get(name) or {}
    if not isinstance(value, dict):
        msg = f"is a {type(value).__name__}, expected an object"
        raise FormatError(msg, file=file, row=row, field=name)
    return value
