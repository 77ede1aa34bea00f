"""Real outcomes repeated with new ids to any number, as a folder of Parquet files.

python benchmarks/synthetic_outcomes.py TABLE FOLDER --outcomes 20000000 [--order arms] [--distinct]

TABLE is a Parquet file in the FusionBench column layout. Copy i of a query has the task id
`ID~i`; quality, prices and responses stay as they are, so every mean does. By default texts stay,
too, and all copies of a query are near-duplicates that every split keeps on one side: the copies
tell nothing new, and a router learns from them what it learns from TABLE. With `--distinct` each
text starts with the number of its copy: every query is a text of its own, as in a real log, but
copies of one question stand on both sides of a split, so that scores mean nothing.

`--order copies` writes one copy of the table after another, `--order arms` all outcomes of one LLM
after another, as collectors that run model by model do. Only one file's rows are held at a time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.large import write_partitioned

if TYPE_CHECKING:
    from collections.abc import Iterator

_COPIES_AT_ONCE = 8


def repeated(
    table: pl.DataFrame, outcomes: int, *, order: str = "copies", distinct: bool = False
) -> Iterator[pl.DataFrame]:
    """Frames of the layout with `outcomes` rows in all.

    Args:
        table: Rows in the FusionBench layout.
        outcomes: Rows wanted; the last copy may be cut.
        order: `copies` or `arms`.
        distinct: Whether every copy has texts of its own.
    """
    copies = -(-outcomes // table.height)
    ids = pl.coalesce("task_id", pl.lit("q")) if "task_id" in table.columns else pl.lit("q")
    # Rows without a task id are told apart by their text.
    table = table.with_columns(
        task_id=ids + pl.lit("#") + pl.col("query").rank("dense").cast(pl.String)
    )
    parts = [table] if order == "copies" else table.partition_by("llm", maintain_order=True)
    left = outcomes
    for part in parts:
        for first in range(0, copies, _COPIES_AT_ONCE):
            numbers = range(first, min(first + _COPIES_AT_ONCE, copies))
            frame = pl.concat([_copy(part, number, distinct=distinct) for number in numbers])
            yield frame[:left]
            left -= frame.height
            if left <= 0:
                return


def _copy(table: pl.DataFrame, number: int, *, distinct: bool) -> pl.DataFrame:
    query = pl.lit(f"{number}: ") + pl.col("query") if distinct else pl.col("query")
    return table.with_columns(query=query, task_id=pl.col("task_id") + f"~{number}")


def main() -> None:
    """Writes the folder and says how big it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    parser.add_argument("--order", choices=["copies", "arms"], default="copies")
    parser.add_argument("--distinct", action="store_true")
    options = parser.parse_args()
    started = time.perf_counter()
    table = pl.read_parquet(options.table)
    frames = repeated(table, options.outcomes, order=options.order, distinct=options.distinct)
    rows = write_partitioned(frames, options.folder)
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in options.folder.glob("*.parquet"))
    print(f"{rows} outcomes, {size / 2**20:.0f} MiB, {seconds:.1f} s, {rows / seconds:.0f} rows/s")


if __name__ == "__main__":
    main()
