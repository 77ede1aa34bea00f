"""RouterBench: a wide table, CSV or Parquet.

It carries query ids, texts and tasks, quality, cost and responses; nothing else of a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.exporters.frames import write_frame
from fusionfactory.layout import micro_usd

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

__all__ = ["NO_MODEL", "oracle_arms", "write"]

NO_MODEL = "no_model_correct"


def write(table: OutcomeTable, path: Path) -> None:
    """Writes a `.parquet` or `.csv` file.

    Raises:
        ConfigError: The path ends otherwise.
    """
    prefix = pl.col("task").fill_null("") + ":"
    frame = table.queries.select(
        pl.col("query_id").str.strip_prefix(prefix).alias("sample_id"),
        pl.col("query").alias("prompt"),
        pl.col("task").fill_null("").alias("eval_name"),
    )
    costs = micro_usd(table.cost_usd) / 1e6
    columns = []
    for index, name in enumerate(table.arm_names):
        columns.append(pl.Series(name, table.quality[:, index]).fill_nan(None))
        if table.responses is not None:
            texts = table.responses[:, index].tolist()
            columns.append(pl.Series(f"{name}|model_response", texts, dtype=pl.String))
        columns.append(pl.Series(f"{name}|total_cost", costs[:, index]).fill_nan(None))
    oracle = pl.Series("oracle_model_to_route_to", oracle_arms(table), dtype=pl.String)
    write_frame(frame.with_columns(*columns, oracle), path)


def oracle_arms(table: OutcomeTable) -> list[str | None]:
    """Per query the arm with the best quality, ties to the cheapest, then by name.

    RouterBench's `no_model_correct` where the best is 0; None where no arm has a quality.
    """
    names = np.asarray(table.arm_names)
    quality = np.nan_to_num(table.quality, nan=-1.0)
    best = quality.max(axis=1)
    cost = np.where(quality == best[:, None], np.nan_to_num(table.cost_usd, nan=np.inf), np.nan)
    chosen: list[str | None] = []
    for row, top in enumerate(best):
        if top <= 0:
            chosen.append(NO_MODEL if top == 0 else None)
            continue
        tied = np.nonzero(~np.isnan(cost[row]))[0]
        chosen.append(str(names[tied[np.lexsort((names[tied], cost[row][tied]))[0]]]))
    return chosen
