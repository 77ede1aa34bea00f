"""LLMRouter: routing JSONL, one line per (query, model), with prices from its LLM JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import FormatError
from fusionfactory.importers.files import JsonObject, read_json, read_objects
from fusionfactory.importers.rows import Rows, needed

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["read"]

_ALIASES = {
    "task_name": ("task_name",),
    "task_id": ("task_id",),
    "task_description": ("task_description",),
    "domain": ("domain",),
    "query": ("query",),
    "ground_truth": ("ground_truth", "gt"),
    "metric": ("metric",),
    "split": ("split",),
    "llm": ("model_name", "llm"),
    "performance": ("performance",),
    "llm_judge": ("llm_judge",),
    "input_tokens_num": ("input_tokens", "prompt_tokens"),
    "output_tokens_num": ("output_tokens", "completion_tokens"),
    "latency_s": ("response_time",),
    "cost_usd": ("cost_usd",),
    "logprob": ("logprob",),
    "response": ("response",),
}
_FROM_LLMS = ("input_price", "output_price", "llm_description")
_SPLITS = {"train": "train", "val": "validation", "test": "test"}


def read(
    path: str | Path,
    *,
    llms: str | Path | None = None,
    queries: str | Path | None = None,
    task: str = "",
) -> OutcomeTable:
    """Reads LLMRouter's routing data; older field names (`gt, prompt_tokens, ...`) too.

    A cost is tokens times prices, in USD, where both are known. A line that repeats a query's
    `embedding_id` is no key: queries are told apart by task, `task_id` and text.

    Args:
        path: The routing `.jsonl`, or a folder with one or more (`*rout*.jsonl`). `train`, `val`
            or `test` in a file's name is the split of its queries.
        llms: LLM JSON: name to `{size, feature, input_price, output_price, model}`, USD per million
            tokens. In a folder, `*llm*.json` is found.
        queries: Query JSONL, for what the routing lines do not repeat. In a folder, `*quer*.jsonl`.
        task: Task of the lines that name none.

    Raises:
        FormatError: The content is malformed.
    """
    path = Path(path)
    files, found, asked = _find(path)
    prices = _read_llms(Path(llms) if llms is not None else found)
    known = _read_queries([Path(queries)] if queries is not None else asked)
    names = {name: aliases[0] for name, aliases in _ALIASES.items()}
    rows = Rows(names | {name: name for name in _FROM_LLMS})
    for file in files:
        split = next((value for key, value in _SPLITS.items() if key in file.stem.lower()), None)
        for row, item in read_objects(file):
            query = needed(item, "query", file, row)
            merged = {
                **known.get(str(query), {}),
                **{k: v for k, v in item.items() if v is not None},
            }
            values = {name: _first(merged, aliases) for name, aliases in _ALIASES.items()}
            if values["llm"] is None:
                msg = f"missing; found {', '.join(item)}. A query file holds no outcomes"
                raise FormatError(msg, file=file, row=row, field="model_name")
            values["task_name"] = values["task_name"] or task
            values["split"] = values["split"] or split
            rows.add(file, row, _priced(values, prices.get(str(values["llm"]), {})))
    return rows.table(path)


def _find(path: Path) -> tuple[list[Path], Path | None, list[Path]]:
    if not path.is_dir():
        return [path], None, []
    files = sorted(path.glob("*rout*.jsonl"))
    if not files:
        msg = "the folder holds no routing data (*rout*.jsonl)"
        raise FormatError(msg, file=path)
    return (
        files,
        next(iter(sorted(path.glob("*llm*.json"))), None),
        sorted(path.glob("*quer*.jsonl")),
    )


def _read_llms(file: Path | None) -> dict[str, JsonObject]:
    if file is None:
        return {}
    llms = read_json(file)
    if not isinstance(llms, dict) or not all(isinstance(llm, dict) for llm in llms.values()):
        msg = "expected an object of LLM name to {size, feature, input_price, output_price, model}"
        raise FormatError(msg, file=file)
    return llms


def _read_queries(files: list[Path]) -> dict[str, JsonObject]:
    return {
        str(needed(item, "query", file, row)): item
        for file in files
        for row, item in read_objects(file)
    }


def _first(item: JsonObject, names: tuple[str, ...]) -> Any:  # noqa: ANN401  any JSON
    return next((item[name] for name in names if item.get(name) is not None), None)


def _priced(values: JsonObject, llm: JsonObject) -> JsonObject:
    values["input_price"], values["output_price"] = llm.get("input_price"), llm.get("output_price")
    values["llm_description"] = llm.get("feature")
    amounts = [values[name] for name in ("input_tokens_num", "output_tokens_num")]
    prices = [values["input_price"], values["output_price"]]
    if values["cost_usd"] is None and all(isinstance(x, int | float) for x in amounts + prices):
        values["cost_usd"] = sum(a * p for a, p in zip(amounts, prices, strict=True)) / 1e6
    return values
