"""The parts of a gathered folder: two Parquet files each, all queries and cells of some texts.

`queries-N.parquet` has a row per query: `QUERY_COLUMNS`, the digests `group` (of the text, see
`digests`) and `key` (of the id), and `place`, where its first row came from. `cells-N.parquet` has
a row per outcome: `number` of the query in its part, `arm` in the manifest, `CELLS` and `response`.
A part holds a range of groups and stands in order of them, so that all parts in turn stand in one
order, which depends on the content alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.errors import TableError
from fusionfactory.long_form import CELLS, QUERY_COLUMNS
from fusionfactory.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from fusionfactory.types import Arm, BoolArray, FloatArray, IntArray

__all__ = ["Part", "cells_file", "queries_file", "read_queries"]


def queries_file(folder: Path, number: int) -> Path:
    """Where a part's queries stand."""
    return folder / f"queries-{number:05}.parquet"


def cells_file(folder: Path, number: int) -> Path:
    """Where a part's outcomes stand."""
    return folder / f"cells-{number:05}.parquet"


def read_queries(folder: Path, number: int, columns: Sequence[str]) -> pl.DataFrame:
    """Columns of a part's queries."""
    return _read(queries_file(folder, number), columns)


def _read(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, columns=list(columns), glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = next(iter(str(error).splitlines()), "damaged")
        msg = f"cannot be read ({reason}): delete the folder and gather again"
        raise TableError(msg, file=path) from None


@dataclass(frozen=True)
class Part:
    """Some columns of one part, in memory.

    Attributes:
        queries: (n, ...) with all `QUERY_COLUMNS`; those not asked for are null.
        numbers: (r,) query of each cell, ascending.
        arms: (r,) arm of each cell.
        cells: Name to (r,) numbers.
        responses: (r,) texts, where asked for.
    """

    queries: pl.DataFrame
    numbers: IntArray
    arms: IntArray
    cells: dict[str, FloatArray]
    responses: pl.Series | None

    @classmethod
    def read(cls, folder: Path, number: int, columns: Collection[str], *, responses: bool) -> Part:
        """Reads a part.

        Args:
            folder: A gathered folder.
            number: Of the part.
            columns: Of `CELLS` and `QUERY_COLUMNS`; `query_id`, `task` and the digests always.
            responses: Whether to read the texts.
        """
        wanted = [n for n in QUERY_COLUMNS if n in columns or n in {"query_id", "task"}]
        queries = read_queries(folder, number, [*wanted, "group", "key", "place"])
        absent = [pl.lit(None, pl.String).alias(n) for n in QUERY_COLUMNS if n not in wanted]
        queries = queries.with_columns(absent)
        names = [name for name in CELLS if name in columns]
        texts = ["response"] if responses else []
        cells = _read(cells_file(folder, number), ["number", "arm", *names, *texts])
        return cls(
            queries,
            cells["number"].to_numpy(),
            cells["arm"].to_numpy(),
            {name: cells[name].to_numpy() for name in names},
            cells["response"] if responses else None,
        )

    def keep(self, mask: BoolArray) -> Part:
        """The part of these queries."""
        if mask.all():
            return self
        renumbered = np.cumsum(mask) - 1
        kept = mask[self.numbers]
        return Part(
            self.queries.filter(pl.Series(mask)),
            renumbered[self.numbers[kept]],
            self.arms[kept],
            {name: values[kept] for name, values in self.cells.items()},
            None if self.responses is None else self.responses.filter(pl.Series(kept)),
        )

    def table(
        self, start: int, stop: int, arms: Sequence[Arm], columns: IntArray, basis: str
    ) -> OutcomeTable:
        """The outcomes of some queries.

        Args:
            start: First query.
            stop: Query after the last.
            arms: m arms of the table.
            columns: Arm of the manifest to its column in the table, or -1.
            basis: Of the costs.
        """
        low, high = np.searchsorted(self.numbers, [start, stop])
        column = columns[self.arms[low:high]]
        kept = column >= 0
        shape = (stop - start, len(arms))
        flat = ((self.numbers[low:high] - start) * shape[1] + column)[kept]
        arrays = {}
        for name in CELLS:
            # A column that nobody asked for takes no memory.
            arrays[name] = np.broadcast_to(np.nan, shape)
            if name in self.cells:
                arrays[name] = np.full(shape, np.nan)
                arrays[name].flat[flat] = self.cells[name][low:high][kept]
        responses = None
        if self.responses is not None:
            responses = np.full(shape, None, dtype=np.object_)
            responses.flat[flat] = self.responses[int(low) : int(high)].to_numpy()[kept]
        queries = self.queries[start:stop].select(QUERY_COLUMNS)
        return OutcomeTable(queries, tuple(arms), responses=responses, cost_basis=basis, **arrays)
