"""FusionBench: CSV, Parquet, or `hf:ulab-ai/FusionBench` from the Hugging Face hub.

Think rows (`llm` ends in `_think`) join the direct rows' query by text, never by position. The
embedding columns are ignored. `cost` is 1e-6 USD.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.errors import FormatError, MissingExtraError
from fusionfactory.importers.files import read_frame
from fusionfactory.importers.rows import METRIC_TEXT, build
from fusionfactory.layout import BASIS_KEY, NUMBERS, TEXTS, Origin

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["HUB_PREFIX", "read"]

HUB_PREFIX = "hf:"
_COLUMNS = frozenset((*TEXTS, *NUMBERS))


def read(path: str | Path) -> OutcomeTable:
    """Reads FusionBench.

    Args:
        path: A `.csv` or `.parquet` file, or `hf:` and the name of a data set on the hub.

    Raises:
        FormatError: The content is malformed.
        MissingExtraError: `hf:` without the extra `hub`.
    """
    hub = str(path).startswith(HUB_PREFIX)
    frame = _from_hub(str(path)) if hub else read_frame(Path(path), _COLUMNS)
    scores = [name for name in ("performance", "llm_judge") if frame.schema.get(name) == pl.String]
    frame = frame.with_columns(
        pl.coalesce(pl.col(name).str.extract(METRIC_TEXT, 1), pl.col(name)) for name in scores
    )
    table = build(frame, Origin(path, error=FormatError))
    if hub or Path(path).suffix.lower() != ".parquet":
        return table
    basis = pl.read_parquet_metadata(path).get(BASIS_KEY, table.cost_basis)
    return replace(table, cost_basis=basis)


def _from_hub(source: str) -> pl.DataFrame:
    try:
        from datasets import load_dataset
    except ImportError:
        what = f"Reading {source}"
        raise MissingExtraError(what, "hub") from None
    loaded = load_dataset(source.removeprefix(HUB_PREFIX))
    parts = []
    for split, dataset in loaded.items():
        names = [name for name in dataset.column_names if name in _COLUMNS]
        part = pl.DataFrame(dataset.select_columns(names).to_polars())
        parts.append(part if "split" in names else part.with_columns(split=pl.lit(split)))
    return pl.concat(parts, how="diagonal_relaxed")
