"""Rows of the FusionBench layout, written into any number of files, for tests of large tables."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fusionfactory.large import gather
from fusionfactory.large.table import LargeTable

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

LLMS = ("small", "large", "small_think")


def outcomes(queries: int, *, seed: int = 0, responses: bool = False) -> pl.DataFrame:
    """Outcomes of three arms on queries of four tasks; a twentieth of the cells is missing."""
    rng = np.random.default_rng(seed)
    rows = queries * len(LLMS)
    number = np.repeat(np.arange(queries), len(LLMS))
    text = pl.concat_str(pl.lit("Question "), pl.Series("n", number), pl.lit(": what follows?"))
    llm = pl.Series("llm", np.tile(LLMS, queries))
    frame = pl.DataFrame({"llm": llm, "number": number}).select(
        "llm",
        task_name=pl.lit("task") + (pl.col("number") % 4).cast(pl.String),
        task_id=pl.col("number").cast(pl.String),
        query=pl.when(llm.str.ends_with("_think"))
        .then(text + "\nLet's think step by step.")
        .otherwise(text),
        input_price=pl.lit(0.1),
        output_price=pl.when(llm == "large").then(3.0).otherwise(0.5),
        performance=pl.Series(rng.random(rows).round(3)),
        llm_judge=pl.Series(rng.random(rows).round(3)),
        cost=pl.Series(rng.random(rows).round(3)) * 100,
    )
    if responses:
        frame = frame.with_columns(
            response=pl.lit("because ") + pl.Series(rng.random(rows)).cast(str)
        )
    return frame.filter(pl.Series(rng.random(rows) > 0.05))


def cut(frame: pl.DataFrame, folder: Path, files: int) -> Path:
    """Writes the rows, in order, into so many files of a folder."""
    folder.mkdir()
    edges = np.linspace(0, frame.height, files + 1).astype(int)
    for number, (start, stop) in enumerate(pairwise(edges)):
        frame[start:stop].write_parquet(folder / f"{number:03}.parquet")
    return folder


def gathered(source: Any, folder: Path, parts: int = 8) -> LargeTable:  # noqa: ANN401  a place
    """The source as a large table of about so many parts."""
    rows = sum(pl.read_parquet(path).height for path in source.glob("*.parquet"))
    return LargeTable.open(gather(source, folder, part_bytes=max(1, rows * 450 // parts)))


def same(one: OutcomeTable, other: OutcomeTable) -> bool:
    """Whether two tables are equal in content and order."""
    return (
        one.queries.equals(other.queries)
        and one.arms == other.arms
        and one.cost_basis == other.cost_basis
        and one.fingerprint() == other.fingerprint()
    )
