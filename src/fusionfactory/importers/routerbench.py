"""RouterBench: a wide table, models found from the `|total_cost` columns."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.errors import FormatError
from fusionfactory.importers.files import read_frame
from fusionfactory.importers.wide import from_wide

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["COST_SUFFIX", "RESPONSE_SUFFIX", "read"]

COST_SUFFIX = "|total_cost"
RESPONSE_SUFFIX = "|model_response"
_LONGEST_LIST = 200_000


def read(path: str | Path) -> OutcomeTable:
    """Reads `sample_id, prompt, eval_name`, and per model its score, cost (USD) and response.

    A prompt or a response that is a list written as text becomes its items, a line each.

    Args:
        path: A `.csv` or `.parquet` file. A `.pkl` file, as published, is refused.

    Raises:
        FormatError: The content is malformed or a pickle.
    """
    path = Path(path)
    frame = read_frame(path)
    names = [name.removesuffix(COST_SUFFIX) for name in frame.columns if name.endswith(COST_SUFFIX)]
    if not names:
        msg = f"no column ends in {COST_SUFFIX!r}, by which models are found"
        raise FormatError(msg, file=path)
    arms: dict[str, dict[str, str]] = {}
    texts = ["prompt"]
    for name in names:
        arms[name] = {"performance": name, "cost_usd": name + COST_SUFFIX}
        if name + RESPONSE_SUFFIX in frame.columns:
            arms[name]["response"] = name + RESPONSE_SUFFIX
            texts.append(name + RESPONSE_SUFFIX)
    shared = {"task_name": "eval_name", "task_id": "sample_id", "query": "prompt"}
    listed = [name for name in texts if frame.schema.get(name) == pl.String]
    frame = frame.with_columns(_plain(frame[name]) for name in listed)
    return from_wide(frame, path, shared=shared, arms=arms)


def _plain(texts: pl.Series) -> pl.Series:
    marked = texts.str.starts_with("[") & texts.str.ends_with("]")
    if not marked.any():
        return texts
    return pl.Series(texts.name, [text and _unlisted(text) for text in texts], dtype=pl.String)


def _unlisted(text: str) -> str:
    if not (text.startswith("[") and text.endswith("]")) or len(text) > _LONGEST_LIST:
        return text
    for parse in (json.loads, ast.literal_eval):  # literal_eval reads literals and runs nothing
        try:
            items = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return "\n".join(items)
    return text
