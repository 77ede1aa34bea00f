"""Outcome tables as a folder of Parquet files in the FusionBench layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import TableError
from fusionfactory.layout import BASIS_KEY, to_fusionbench
from fusionfactory.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FILE_ROWS", "write_partitioned"]

FILE_ROWS = 500_000
"""Outcomes of a file, about."""
_GROUP_ROWS = 100_000


def write_partitioned(
    blocks: OutcomeTable | Iterable[OutcomeTable | pl.DataFrame],
    folder: str | Path,
    *,
    file_rows: int = FILE_ROWS,
) -> int:
    """Writes blocks as `part-00000.parquet` and so on; only one file's rows are held at a time.

    Args:
        blocks: A table, or tables and frames of the FusionBench layout, as from
            `LargeTable.blocks` or a store.
        folder: Must not hold Parquet files yet.
        file_rows: Outcomes per file, but for the last.

    Returns:
        The number of outcomes.

    Raises:
        TableError: The folder holds Parquet files, or there is nothing to write.
    """
    target = Path(folder)
    if target.is_dir() and next(target.glob("*.parquet"), None) is not None:
        msg = "holds Parquet files already: name another folder"
        raise TableError(msg, file=target)
    held: list[pl.DataFrame] = []
    number = written = 0
    bases: dict[str, str] = {}
    for block in [blocks] if isinstance(blocks, OutcomeTable) else blocks:
        if isinstance(block, OutcomeTable):
            bases = {BASIS_KEY: block.cost_basis}
            block = to_fusionbench(block.to_long())
        held.append(block)
        while sum(frame.height for frame in held) >= file_rows:
            whole = pl.concat(held, how="diagonal_relaxed")
            _write(whole[:file_rows], target, number, bases)
            held = [whole[file_rows:]] if whole.height > file_rows else []
            number, written = number + 1, written + file_rows
    if held:
        rest = pl.concat(held, how="diagonal_relaxed")
        _write(rest, target, number, bases)
        written += rest.height
    if not written:
        msg = "there are no outcomes to write"
        raise TableError(msg, file=target)
    return written


def _write(frame: pl.DataFrame, folder: Path, number: int, metadata: dict[str, str]) -> None:
    write_atomically(
        folder / f"part-{number:05}.parquet",
        lambda path: frame.write_parquet(
            path, compression="zstd", row_group_size=_GROUP_ROWS, metadata=metadata
        ),
    )
