"""Records of a log: the rows of a file, or of every file of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from fusionfactory.errors import FormatError
from fusionfactory.importers.files import JsonObject, read_frame, read_json, read_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Record", "files_of", "read_records"]

Record: TypeAlias = "tuple[Path, int, JsonObject]"
"""File, row in it from 1, object."""

_ENDINGS = (".jsonl", ".json")
_TABLES = (".csv", ".parquet")


def files_of(path: Path) -> list[Path]:
    """The file itself, or every JSON and JSONL file in the folder and below, in order.

    Raises:
        FormatError: The folder has none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _ENDINGS)
    if not files:
        msg = f"the folder holds no {' or '.join(_ENDINGS)} file"
        raise FormatError(msg, file=path)
    return files


def read_records(path: Path) -> Iterator[Record]:
    """Yields the records of JSONL, JSON, CSV or Parquet, or of a folder of JSON and JSONL.

    A JSON document is a list of records, an API's page (`{"data": [...]}`), or one record; or an
    object per line, as the OpenTelemetry collector writes them to a `.json`.

    Raises:
        FormatError: A file is absent or malformed, or holds something else than objects.
    """
    for file in files_of(path):
        suffix = file.suffix.lower()
        if suffix in _TABLES:
            rows = read_frame(file).iter_rows(named=True)
            yield from ((file, row, item) for row, item in enumerate(rows, start=1))
        elif suffix == ".json":
            yield from _of_document(file)
        else:
            yield from ((file, row, item) for row, item in _of_lines(file))


def _of_lines(file: Path) -> Iterator[tuple[int, JsonObject]]:
    if file.exists() and file.suffix.lower() != ".jsonl":
        msg = f"has the ending {file.suffix!r}, expected .jsonl, .json, .csv or .parquet"
        raise FormatError(msg, file=file)
    return read_lines(file)


def _of_document(file: Path) -> Iterator[Record]:
    try:
        document = read_json(file)
    except FormatError as error:
        if "Extra data" not in error.message:
            raise
        yield from ((file, row, item) for row, item in read_lines(file))
        return
    if isinstance(document, dict):
        page = document.get("data")
        document = page if isinstance(page, list) else [document]
    if not isinstance(document, list):
        msg = f"holds a {type(document).__name__}, expected objects"
        raise FormatError(msg, file=file)
    for row, item in enumerate(document, start=1):
        if not isinstance(item, dict):
            msg = f"holds a {type(item).__name__}, expected an object"
            raise FormatError(msg, file=file, row=row)
        yield file, row, item
