"""Files as frames or JSON objects, with errors that name file and row."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from fusionfactory.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

__all__ = ["JsonObject", "read_frame", "read_json", "read_lines", "read_objects"]

JsonObject: TypeAlias = dict[str, Any]
_PICKLES = (".pkl", ".pickle", ".joblib")


def read_frame(
    path: Path, columns: Collection[str] | None = None, *, head: int | None = None
) -> pl.DataFrame:
    """Reads CSV (every column as text) or Parquet.

    Args:
        path: A `.csv` or `.parquet` file.
        columns: Only these, where they are there.
        head: Only this many rows from the start.

    Raises:
        FormatError: The file is absent, damaged or of another kind.
    """
    _check_file(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            names = list(pl.read_parquet_schema(path))
            wanted = names if columns is None else [name for name in names if name in columns]
            return pl.read_parquet(
                path, columns=wanted, n_rows=head, glob=False, hive_partitioning=False
            )
        if suffix == ".csv":
            names = pl.read_csv(path, n_rows=0, infer_schema=False, glob=False).columns
            wanted = names if columns is None else [name for name in names if name in columns]
            return pl.read_csv(path, columns=wanted, n_rows=head, infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = next(iter(str(error).splitlines()), "damaged")
        msg = f"cannot be read as {suffix[1:]} ({reason}); is it complete?"
        raise FormatError(msg, file=path, row=_bad_csv_row(path)) from None
    msg = f"has the ending {path.suffix!r}, expected .csv or .parquet"
    raise FormatError(msg, file=path)


def _bad_csv_row(path: Path) -> int | None:
    """The first row that is not UTF-8 or has another number of fields than the header."""
    if path.suffix.lower() != ".csv":
        return None
    row = 0
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            width = None
            for row, cells in enumerate(csv.reader(file)):
                width = len(cells) if width is None else width
                "".join(cells).encode()
                if len(cells) > width:
                    return row
    except UnicodeEncodeError:
        return row
    except (csv.Error, OSError):
        return row + 1
    return None


def read_json(path: Path) -> Any:  # noqa: ANN401  whatever the file holds
    """Reads one JSON document.

    Raises:
        FormatError: The file is absent or no JSON; the row is the line of the fault.
    """
    _check_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        msg = f"is no JSON: {error.msg}; is it complete?"
        raise FormatError(msg, file=path, row=error.lineno) from None
    except (UnicodeDecodeError, RecursionError, OSError, ValueError) as error:
        msg = f"is no JSON: {type(error).__name__}"
        raise FormatError(msg, file=path) from None


def read_objects(path: Path) -> Iterator[tuple[int, JsonObject]]:
    """Yields (row, object) of a JSONL file or of a JSON file that holds a list.

    Raises:
        FormatError: The file is absent or malformed, or an item is no object.
    """
    if path.suffix.lower() == ".jsonl":
        yield from read_lines(path)
        return
    items = read_json(path)
    if not isinstance(items, list):
        msg = f"holds a {type(items).__name__}, expected a list of objects"
        raise FormatError(msg, file=path)
    for row, item in enumerate(items, start=1):
        yield row, _object(item, path, row)


def read_lines(path: Path) -> Iterator[tuple[int, JsonObject]]:
    """Yields (row, object) of a file with an object in each line, whatever its ending.

    Raises:
        FormatError: The file is absent or malformed, or an item is no object.
    """
    _check_file(path)
    row = 0
    try:
        with path.open("rb") as file:
            for row, line in enumerate(file, start=1):
                text = line.decode("utf-8-sig" if row == 1 else "utf-8")
                if text.strip():
                    yield row, _object(json.loads(text), path, row)
    except json.JSONDecodeError as error:
        msg = f"is no JSON: {error.msg}; is the line complete?"
        raise FormatError(msg, file=path, row=row) from None
    except (UnicodeDecodeError, RecursionError, OSError, ValueError) as error:
        msg = f"is no JSON line: {type(error).__name__}"
        raise FormatError(msg, file=path, row=row) from None


def _object(item: object, path: Path, row: int) -> JsonObject:
    if not isinstance(item, dict):
        msg = f"holds a {type(item).__name__}, expected an object"
        raise FormatError(msg, file=path, row=row)
    return item


def _check_file(path: Path) -> None:
    if path.suffix.lower() in _PICKLES:
        msg = (
            "is a pickle, which can run code when it is read, and is refused. Convert it in a "
            'throw-away environment without network or secrets (a container): python -c "import '
            f"pandas; pandas.read_pickle('{path.name}').to_parquet('{path.stem}.parquet')\""
        )
        raise FormatError(msg, file=path)
    if not path.is_file():
        msg = "is a folder, expected a file" if path.is_dir() else "no such file"
        raise FormatError(msg, file=path)
    if not path.stat().st_size:
        msg = "the file is empty"
        raise FormatError(msg, file=path)
