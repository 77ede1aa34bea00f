"""Any CSV, JSONL or Parquet, by saying which column is what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.errors import ConfigError, FormatError
from fusionfactory.importers.files import read_frame, read_objects
from fusionfactory.importers.rows import Rows, build
from fusionfactory.importers.wide import from_wide, truth_as_number
from fusionfactory.layout import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.table import OutcomeTable

__all__ = ["NAMES", "read"]

NAMES = {
    "query": "query",
    "arm": "llm",
    "quality": "performance",
    "judge": "llm_judge",
    "cost_usd": "cost_usd",
    "task": "task_name",
    "task_id": "task_id",
    "domain": "domain",
    "target": "ground_truth",
    "metric": "metric",
    "split": "split",
    "description": "task_description",
    "arm_description": "llm_description",
    "input_price": "input_price",
    "output_price": "output_price",
    "input_tokens": "input_tokens_num",
    "output_tokens": "output_tokens_num",
    "latency_s": "latency_s",
    "logprob": "logprob",
    "response": "response",
}
"""What a column can be, and its name in the FusionBench layout."""
_PER_ARM = (
    "quality",
    "judge",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "latency_s",
    "logprob",
    "response",
)


def read(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    arms: Sequence[str] | None = None,
    per_arm: Mapping[str, str] | None = None,
    task: str = "",
) -> OutcomeTable:
    """Reads a table whose columns the caller names.

    Long form: a row per (query, arm). Wide form, where `arms` is given: a row per query, and
    columns per arm.

    Args:
        path: A `.csv`, `.parquet`, `.jsonl` or `.json` (list of objects) file.
        columns: A name of `NAMES` to the file's column, for example `{"query": "question"}`. Names
            left out are looked for as they are. Long form needs `query` and `arm`.
        arms: The arms of a wide table.
        per_arm: Wide form: a name of `NAMES` to a pattern of the file's column, in which `{arm}`
            stands for the arm; by default `{"quality": "{arm}"}`.
        task: Task of the rows that name none.

    Raises:
        ConfigError: `columns` or `per_arm` names something unknown.
        FormatError: The content is malformed.
    """
    path = Path(path)
    named = _checked(columns or {}, NAMES, "columns")
    if arms is not None:
        patterns = _checked(per_arm or {"quality": "{arm}"}, _PER_ARM, "per_arm")
        return _read_wide(path, named, arms, patterns, task)
    if path.suffix.lower() in {".jsonl", ".json"}:
        return _read_objects(path, named, task)
    frame = read_frame(path)
    fields = _fields(frame.columns, named, path, ("query", "arm"))
    if "performance" in fields:
        number = truth_as_number(frame, fields["performance"]).alias(fields["performance"])
        frame = frame.with_columns(number)
    picked = frame.select(pl.col(column).alias(name) for name, column in fields.items())
    tasks = picked.get_column("task_name", default=None)
    own = pl.lit(task) if tasks is None else pl.col("task_name").cast(pl.String).fill_null(task)
    picked = picked.with_columns(own.alias("task_name"))
    return build(picked, Origin(path, fields=fields, error=FormatError))


def _checked(
    given: Mapping[str, str], known: Mapping[str, str] | Sequence[str], option: str
) -> dict[str, str]:
    for name in given:
        if name not in known:
            msg = f"{name!r} is nothing a column can be; known: {', '.join(known)}"
            raise ConfigError(msg, field=option)
    return dict(given)


def _fields(
    found: Sequence[str], named: Mapping[str, str], path: Path, required: Sequence[str]
) -> dict[str, str]:
    """Column of the layout to the file's column, for those that are there."""
    for name in (*named, *required):
        if named.get(name, name) not in found:
            has = ", ".join(found)
            msg = f"missing (the column for {name!r}; say which with columns=); found {has}"
            raise FormatError(msg, file=path, field=named.get(name, name))
    return {key: named.get(n, n) for n, key in NAMES.items() if named.get(n, n) in found}


def _read_objects(path: Path, named: Mapping[str, str], task: str) -> OutcomeTable:
    fields = {key: named.get(name, name) for name, key in NAMES.items()}
    rows = Rows(fields)
    seen: set[str] = set()
    for row, item in read_objects(path):
        seen.update(item)
        for name in ("query", "arm"):
            if item.get(fields[NAMES[name]]) is None:
                msg = f"missing (the column for {name!r}; say which with columns=)"
                raise FormatError(msg, file=path, row=row, field=fields[NAMES[name]])
        values = {key: item.get(column) for key, column in fields.items()}
        rows.add(path, row, {**values, "task_name": values["task_name"] or task})
    if seen:
        _fields(sorted(seen), named, path, ())
    return rows.table(path)


def _read_wide(
    path: Path,
    named: Mapping[str, str],
    arms: Sequence[str],
    patterns: Mapping[str, str],
    task: str,
) -> OutcomeTable:
    if path.suffix.lower() in {".jsonl", ".json"}:
        objects = [item for _, item in read_objects(path)]
        frame = pl.DataFrame(objects, infer_schema_length=None, strict=False)
    else:
        frame = read_frame(path)
    own_names = {NAMES[name] for name in (*_PER_ARM, "arm")}
    fields = _fields(frame.columns, named, path, ("query",))
    shared = {key: column for key, column in fields.items() if key not in own_names}
    own = {
        arm: {NAMES[name]: pattern.replace("{arm}", arm) for name, pattern in patterns.items()}
        for arm in arms
    }
    return from_wide(frame, path, shared=shared, arms=own, task=task)
