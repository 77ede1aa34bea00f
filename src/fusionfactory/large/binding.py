"""The second half of gathering: a bin's rows, checked as one table, become a part's two files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory import layout
from fusionfactory.atomic import write_atomically
from fusionfactory.large.digests import digests
from fusionfactory.large.manifest import PartFacts
from fusionfactory.large.parts import cells_file, queries_file
from fusionfactory.large.scatter import origin_of
from fusionfactory.long_form import CELLS, QUERY_COLUMNS, first_known, positions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fusionfactory.large.places import SourceFile
    from fusionfactory.types import Arm

__all__ = ["bind", "reject_shared_ids"]


def bind(
    frame: pl.DataFrame,
    folder: Path,
    number: int,
    files: Sequence[SourceFile],
    arms: Sequence[Arm],
    ambiguous: pl.Series,
) -> PartFacts:
    """Writes the part of a bin's rows.

    Args:
        frame: Rows in the FusionBench layout with `group` and `place`, in order of their places.
        folder: Where to.
        number: Of the part.
        files: That places number.
        arms: That outcomes number.
        ambiguous: Digests of names that stand for several texts.

    Raises:
        TableError: A row is malformed, or two fill one cell.
    """
    origin = origin_of(frame["place"], files)
    long = layout.to_long(frame, source=origin, ambiguous=_names(frame, ambiguous))
    long = long.with_columns(frame["group"], frame["place"])
    queries = first_known(long, (*QUERY_COLUMNS, "group", "place")).sort("group", "query_id")
    key = pl.Series("key", digests(queries["query_id"].to_list()))
    row = positions(long["query_id"], queries["query_id"])
    column = positions(long["arm"], pl.Series([arm.name for arm in arms]))
    layout.reject_duplicates(long, row * len(arms) + column, origin)
    cells = long.select(
        pl.Series("number", row, dtype=pl.UInt32),
        pl.Series("arm", column, dtype=pl.UInt32),
        *(pl.col(name).cast(pl.Float64).fill_null(np.nan) for name in CELLS),
        "response",
    ).sort("number", "arm")
    _write(cells, cells_file(folder, number))
    _write(queries.with_columns(key), queries_file(folder, number))
    known = [name for name in CELLS if not cells[name].is_nan().all()]
    known += ["response"] if cells["response"].null_count() < cells.height else []
    texts = queries.select(pl.selectors.string().str.len_bytes().sum())
    return PartFacts(
        number=number,
        queries=queries.height,
        outcomes=cells.height,
        text_bytes=sum(texts.row(0)),
        known=tuple(known),
        tasks=tuple(queries["task"].fill_null("").unique().sort().to_list()),
    )


def _write(frame: pl.DataFrame, path: Path) -> None:
    write_atomically(path, lambda target: frame.write_parquet(target, compression="zstd"))


def _names(frame: pl.DataFrame, ambiguous: pl.Series) -> list[str]:
    """Which of the frame's names `task:task_id` have one of these digests."""
    if not len(ambiguous):
        return []
    names = frame.select(pl.concat_str("task_name", pl.lit(":"), "task_id").alias("name")).unique()
    found = names.drop_nulls().filter(pl.col("name").hash(0).is_in(ambiguous.implode()))
    return found["name"].to_list()


def reject_shared_ids(
    folder: Path, parts: Sequence[PartFacts], files: Sequence[SourceFile]
) -> None:
    """Raises TableError where queries of two parts, so two texts, have one id."""
    paths = [queries_file(folder, part.number) for part in parts]
    scan = pl.scan_parquet(paths, glob=False)
    keys = scan.select("key").collect()["key"]
    twice = keys.filter(keys.is_duplicated()).unique()
    if not len(twice):
        return
    suspects = (
        scan.filter(pl.col("key").is_in(twice.implode())).select("query_id", "place").collect()
    )
    shared = suspects.filter(pl.col("query_id").is_duplicated()).sort("place")
    if shared.height:
        name = shared["query_id"][0]
        places = shared.filter(pl.col("query_id") == name)["place"]
        msg = f"{name!r} stands for two texts"
        raise origin_of(places, files).fail(msg, position=1, column="query_id")
