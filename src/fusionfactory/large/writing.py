"""Outcome tables as a folder of Parquet files in the FusionBench layout."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import TableError
from fusionfactory.large.places import holds_parquet, is_url, open_remote
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
        folder: On this machine, or a URL that fsspec knows; must not hold Parquet files yet.
        file_rows: Outcomes per file, but for the last.

    Returns:
        The number of outcomes.

    Raises:
        TableError: The folder holds Parquet files, or there is nothing to write.
    """
    if holds_parquet(folder):
        msg = "holds Parquet files already: name another folder"
        raise TableError(msg, file=folder)
    held: list[pl.DataFrame] = []
    number = written = 0
    bases: dict[str, str] = {}
    for block in [blocks] if isinstance(blocks, OutcomeTable) else blocks:
        if isinstance(block, OutcomeTable):
            bases = {BASIS_KEY: block.cost_basis}
            long = block.to_long()
            # Blocks leave out ids that follow from their own rows; other blocks' rows may differ.
            block = to_fusionbench(long).with_columns(long["query_id"])
        held.append(block)
        while sum(frame.height for frame in held) >= file_rows:
            whole = pl.concat(held, how="diagonal_relaxed")
            _write(whole[:file_rows], folder, number, bases)
            held = [whole[file_rows:]] if whole.height > file_rows else []
            number, written = number + 1, written + file_rows
    if held:
        rest = pl.concat(held, how="diagonal_relaxed")
        _write(rest, folder, number, bases)
        written += rest.height
    if not written:
        msg = "there are no outcomes to write"
        raise TableError(msg, file=folder)
    return written


def _write(frame: pl.DataFrame, folder: str | Path, number: int, metadata: dict[str, str]) -> None:
    write = partial(
        frame.write_parquet, compression="zstd", row_group_size=_GROUP_ROWS, metadata=metadata
    )
    name = f"part-{number:05}.parquet"
    if is_url(folder):
        with open_remote(f"{str(folder).rstrip('/')}/{name}") as file:
            write(file)
    else:
        write_atomically(Path(folder) / name, write)
