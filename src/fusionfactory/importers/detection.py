"""Guessing the format of a file or folder from its first fields."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from fusionfactory.errors import FormatError
from fusionfactory.importers.files import read_frame, read_objects
from fusionfactory.importers.fusionbench import HUB_PREFIX
from fusionfactory.importers.logs.detection import MARKS, detect_columns, detect_record
from fusionfactory.importers.logs.records import read_records
from fusionfactory.importers.routellm import score_columns
from fusionfactory.importers.routerbench import COST_SUFFIX
from fusionfactory.importers.wide import truth_as_number

__all__ = ["detect"]

_BY_KEYS = (
    ({"query", "candidates"}, "fusionbench-router"),
    ({"question", "scores"}, "routerdc"),
    ({"model_a", "model_b", "winner"}, "routellm"),
    ({"global index", "prediction"}, "routerarena"),
    ({"global_index", "prediction"}, "routerarena"),
    ({"global_index", "question"}, "routerarena"),
    ({"query", "model_name"}, "llmrouter"),
)
_CUT_HEAD = 65_536
_HEAD_ROWS = 1_000


def detect(path: str | Path) -> str:
    """The name of the importer for a file or folder.

    Raises:
        FormatError: There is no such file, or no format fits.
    """
    if str(path).startswith(HUB_PREFIX):
        return "fusionbench"
    path = Path(path)
    if path.is_dir():
        found = _detect_folder(path)
    elif path.suffix.lower() in {".json", ".jsonl"}:
        found = _detect_json(path)
    else:
        found = _detect_columns(path)
    if found is None:
        msg = "fits no known format; name the format, or use `generic` and say which column is what"
        raise FormatError(msg, file=path)
    return found


def _detect_folder(path: Path) -> str | None:
    if (path / "cached_results").is_dir():
        return "routerarena"
    if any(path.glob("*rout*.jsonl")):
        return "llmrouter"
    for pattern in ("*.jsonl", "**/*.json", "**/*.jsonl"):
        nested = next(iter(sorted(path.glob(pattern))), None)
        if nested is not None:
            return _detect_json(nested)
    return None


def _detect_json(path: Path) -> str | None:
    if _is_object(path):
        return "llmrouterbench" if '"dataset_name"' in _head(path) else _detect_document(path)
    _, item = next(iter(read_objects(path)), (0, {}))
    found = (name for keys, name in _BY_KEYS if keys <= item.keys())
    return next(found, None) or detect_record(item)


def _detect_document(path: Path) -> str | None:
    if not any(mark in _head(path) for mark in MARKS):
        return None
    _, _, item = next(read_records(path), (path, 0, {}))
    return detect_record(item)


def _is_object(path: Path) -> bool:
    return path.suffix.lower() == ".json" and _head(path).lstrip("\ufeff \t\r\n").startswith("{")


def _head(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_CUT_HEAD).decode(errors="replace")


def _detect_columns(path: Path) -> str | None:
    frame = read_frame(path, head=_HEAD_ROWS)
    names = set(frame.columns)
    if {"task_name", "query", "llm"} <= names:
        return "fusionbench"
    if (log := detect_columns(names)) is not None:
        return log
    if any(name.endswith(COST_SUFFIX) for name in names):
        return "routerbench"
    scores = score_columns(frame) if "prompt" in names else []
    numbers = frame.select(truth_as_number(frame, name).cast(pl.Float64) for name in scores)
    within = all(column.is_between(0, 1).all() for column in numbers)
    return "routellm" if scores and within else None
