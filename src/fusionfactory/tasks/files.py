"""Rows of local files: JSONL, JSON, CSV and Parquet, each with its number in the file."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from fusionfactory.errors import TaskError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Row", "read_file", "read_rows"]

Row: TypeAlias = "tuple[int, Mapping[str, Any]]"
"""A row's number, from 1 (in JSONL the line, else the record), and its fields."""


def read_file(path: Path) -> Iterator[Row]:
    """Yields the rows of a file; its ending, perhaps followed by `.gz`, says which kind.

    Raises:
        TaskError: The file is absent, damaged or of another kind.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"cannot be read ({error.strerror or error}); expected a file with questions"
        raise TaskError(msg, file=path) from None
    yield from read_rows(str(path), data)


def read_rows(name: str, data: bytes) -> Iterator[Row]:
    """Yields the rows of a file's content.

    Args:
        name: The file, for its ending and for messages.
        data: What it holds.

    Raises:
        TaskError: The content is damaged or of another kind.
    """
    plain = name.lower()
    if plain.endswith(".gz"):
        plain = plain.removesuffix(".gz")
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            msg = f"is no complete gzip file ({error})"
            raise TaskError(msg, file=name) from None
    ending = plain.rpartition(".")[2]
    if ending == "parquet":
        yield from _parquet(name, data)
        return
    readers = {"jsonl": _jsonl, "ndjson": _jsonl, "json": _json, "csv": _csv}
    if ending not in readers:
        msg = "has an unknown ending, expected .jsonl, .json, .csv or .parquet (or .jsonl.gz, ...)"
        raise TaskError(msg, file=name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        msg = f"is no UTF-8 text ({error.reason})"
        raise TaskError(msg, file=name, row=row) from None
    yield from readers[ending](name, text)


def _jsonl(name: str, text: str) -> Iterator[Row]:
    # str.splitlines would also split at separators that JSON allows inside a text.
    for row, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield row, _object(name, row, _parsed(name, line, row))


def _json(name: str, text: str) -> Iterator[Row]:
    document = _parsed(name, text, None)
    if not isinstance(document, list):
        msg = f"holds a {type(document).__name__}, expected a list of objects"
        raise TaskError(msg, file=name)
    for row, item in enumerate(document, start=1):
        yield row, _object(name, row, item)


def _csv(name: str, text: str) -> Iterator[Row]:
    row = 0
    try:
        for row, fields in enumerate(csv.DictReader(io.StringIO(text, newline="")), start=1):
            if None in fields or None in fields.values():
                msg = "has another number of fields than the header; is a quote missing?"
                raise TaskError(msg, file=name, row=row)
            yield row, fields
    except csv.Error as error:
        msg = f"cannot be read as CSV ({error}); JSONL and Parquet have no such limits"
        raise TaskError(msg, file=name, row=row + 1) from None


def _parquet(name: str, data: bytes) -> Iterator[Row]:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = next(iter(str(error).splitlines()), "damaged")
        msg = f"cannot be read as Parquet ({reason}); is it complete?"
        raise TaskError(msg, file=name) from None
    yield from enumerate(frame.iter_rows(named=True), start=1)


def _parsed(name: str, text: str, row: int | None) -> Any:  # noqa: ANN401  any JSON
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        msg = f"is no JSON ({error.msg}); is it complete?"
        raise TaskError(msg, file=name, row=row or error.lineno) from None
    except (ValueError, RecursionError) as error:
        msg = f"is no JSON ({type(error).__name__})"
        raise TaskError(msg, file=name, row=row) from None


def _object(name: str, row: int, item: object) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        msg = f"holds a {type(item).__name__}, expected an object"
        raise TaskError(msg, file=name, row=row)
    return item
