"""The first half of gathering: rows of any order go, piece by piece, into bins by their texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory import layout
from fusionfactory.atomic import write_atomically
from fusionfactory.errors import TableError
from fusionfactory.large.digests import group_digests
from fusionfactory.large.places import local_copy
from fusionfactory.long_form import first_known

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fusionfactory.large.bins import Bins
    from fusionfactory.large.places import SourceFile

__all__ = ["ARMS", "BASES", "NAMES", "origin_of", "read_slice", "row_bytes", "row_count", "scatter"]

ARMS, NAMES, BASES = "arms", "names", "bases"
"""Bins beside the parts': the arms and their facts, the names `task:task_id` with the parts in
which they occur, the cost bases that files declare."""
_ROW_BITS = 40
"""Of a row's place, the lower bits are its row in its file, from 0; the rest number the file."""
_SAMPLES = 4
_SAMPLE_ROWS = 500
_ARM_FACTS = ("llm", "llm_description", "input_price", "output_price", "place")
_PROGRESS = "progress.json"


def scatter(
    files: Sequence[SourceFile],
    folder: Path,
    bins: Bins,
    parts: int,
    piece_bytes: int,
    told: Callable[[int], None],
) -> None:
    """Puts every row into the bin of its part; goes on where an earlier run was stopped.

    Args:
        files: To read, in order.
        folder: Of the bins and of the record of what is done.
        bins: One per part, named by its number, and `ARMS`, `NAMES` and `BASES`.
        parts: How many, a power of two.
        piece_bytes: Rows of about so many bytes are held at a time.
        told: Called with the number of files that are done.

    Raises:
        TableError: A file is malformed; names file, row and field.
    """
    at_file, at_row = _resume(folder, bins)
    for number, file in enumerate(files):
        told(number)
        if number < at_file:
            continue
        with local_copy(file, folder) as path:
            rows = row_count(path, file.name)
            first = at_row if number == at_file else 0
            if not first:
                _declare_basis(path, bins)
            step = max(1024, piece_bytes // row_bytes(path, file.name, rows)) if rows else 1
            for row in range(first, rows, step):
                _scatter_piece(path, file.name, number, row, step, bins, parts)
                _record(folder, number, row + step, bins)
        _record(folder, number + 1, 0, bins)
    told(len(files))


def _resume(folder: Path, bins: Bins) -> tuple[int, int]:
    """The file and row to go on from; the bins hold what came before and no more."""
    path = folder / _PROGRESS
    done = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    if done is not None and bins.restore(done["sizes"]):
        return done["file"], done["row"]
    bins.restore({})
    return 0, 0


def _record(folder: Path, file: int, row: int, bins: Bins) -> None:
    text = json.dumps({"file": file, "row": row, "sizes": bins.sizes()})
    write_atomically(folder / _PROGRESS, lambda path: path.write_text(text, encoding="utf-8"))


def _scatter_piece(
    path: Path, name: str, number: int, row: int, rows: int, bins: Bins, parts: int
) -> None:
    frame = read_slice(path, name, row, rows)
    places = pl.int_range(row + 1, row + 1 + frame.height, eager=True)
    frame = layout.check_columns(frame, layout.Origin(name, rows=places))
    place = (places - 1).cast(pl.UInt64) + (number << _ROW_BITS)
    frame = frame.with_columns(group=group_digests(frame["query"]), place=place)
    # The highest bits: parts in turn then hold rising digests.
    part = pl.col("group") // (2**64 // parts) if parts > 1 else pl.lit(0, pl.UInt64)
    frame = frame.with_columns(part=part.cast(pl.UInt32))
    bins.append(ARMS, first_known(frame, _ARM_FACTS))
    named = frame.filter(pl.col("task_id").is_not_null()).select("task_name", "task_id", "part")
    if named.height:
        full = pl.concat_str("task_name", pl.lit(":"), "task_id").hash(0)
        bins.append(NAMES, named.select(full.alias("name"), "part").unique())
    for (key,), rest in frame.partition_by("part", as_dict=True, include_key=False).items():
        bins.append(str(key), rest)


def origin_of(places: pl.Series, files: Sequence[SourceFile]) -> layout.Origin:
    """The file and row of every place, for messages."""
    numbers = (places // 2**_ROW_BITS).cast(pl.Int64)
    return layout.Origin(
        files=pl.Series([file.name for file in files]).gather(numbers),
        rows=(places % 2**_ROW_BITS).cast(pl.Int64) + 1,
    )


def _declare_basis(path: Path, bins: Bins) -> None:
    basis = pl.read_parquet_metadata(path).get(layout.BASIS_KEY)
    if basis is not None:
        bins.append(BASES, pl.DataFrame({"basis": [basis]}))


def row_count(path: Path, name: str) -> int:
    """Rows of a Parquet file.

    Raises:
        TableError: It is none.
    """
    try:
        return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _unreadable(error, name) from None


def read_slice(path: Path, name: str, row: int, rows: int) -> pl.DataFrame:
    """Rows of a file, with the columns of the layout that it has; those in its path's `k=v`, too.

    Raises:
        TableError: It cannot be read.
    """
    try:
        scan = pl.scan_parquet(
            path, glob=False, hive_partitioning="=" in str(path), try_parse_hive_dates=False
        )
        known = [c for c in scan.collect_schema() if c in {*layout.TEXTS, *layout.NUMBERS}]
        # Of a file of another kind all columns are named in the message.
        return (scan.select(known) if known else scan).slice(row, rows).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _unreadable(error, name) from None


def row_bytes(path: Path, name: str, rows: int) -> int:
    """Mean bytes of a row in memory, from some places of the file."""
    starts = sorted({rows * i // _SAMPLES for i in range(_SAMPLES)})
    slices = [read_slice(path, name, start, _SAMPLE_ROWS) for start in starts]
    texts = pl.concat(slices).select(pl.selectors.string().str.len_bytes())
    size = sum(int(column.sum()) for column in texts)
    columns = len((*layout.TEXTS, *layout.NUMBERS))
    return 16 * columns + size // max(1, sum(part.height for part in slices))


def _unreadable(error: BaseException, name: str) -> TableError:
    reason = next(iter(str(error).splitlines()), "damaged")
    msg = f"cannot be read as Parquet ({reason}); is it complete?"
    return TableError(msg, file=name)
