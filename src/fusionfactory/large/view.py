"""What of a gathered folder is read, and as what: some arms, one side, the judge's scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import TableError
from fusionfactory.large.parts import Part, read_queries
from fusionfactory.large.sides import Side, on_sides
from fusionfactory.long_form import CELLS, QUERY_COLUMNS
from fusionfactory.pricing import with_nominal_costs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import polars as pl

    from fusionfactory.large.manifest import Manifest
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, BoolArray

__all__ = ["BLOCK_BYTES", "View"]

BLOCK_BYTES = 32 * 2**20
"""What a block of the default size takes: numbers of all cells and texts of the queries."""
_BLOCK_QUERIES = (256, 65_536)


@dataclass(frozen=True)
class View:
    """A view of a gathered folder.

    Attributes:
        folder: The folder.
        manifest: What it says of itself.
        arms: m arms of the view, in its order.
        cost_basis: Of the view's costs.
        sides: On all of which a query of the view stands.
        judged: Whether quality means the judge's scores.
    """

    folder: Path
    manifest: Manifest
    arms: tuple[Arm, ...]
    cost_basis: str
    sides: tuple[Side, ...] = ()
    judged: bool = False

    def knows(self, column: str) -> bool:
        """Whether any cell of the folder has this number, or `response`."""
        return any(column in part.known for part in self.manifest.parts)

    @property
    def computes_costs(self) -> bool:
        """Whether costs are not in the files, but nominal ones stand in."""
        return self.cost_basis == "nominal" and not self.knows("cost_usd")

    @property
    def block_queries(self) -> int:
        """Queries of a block of `BLOCK_BYTES`, by the mean length of the folder's texts."""
        parts = self.manifest.parts
        text = sum(part.text_bytes for part in parts) / sum(part.queries for part in parts)
        size = BLOCK_BYTES / (text + 8 * len(CELLS) * len(self.arms))
        return int(np.clip(size, *_BLOCK_QUERIES))

    def digests(self) -> Iterator[tuple[pl.DataFrame, BoolArray]]:
        """Yields `group` and `key` of each part's queries, and which are in the view."""
        for part in self.manifest.parts:
            queries = read_queries(self.folder, part.number, ["group", "key"])
            yield queries, on_sides(queries, self.sides)

    def parts(self, columns: Collection[str] | None, *, responses: bool) -> Iterator[Part]:
        """Yields each part's queries that are in the view, where there are any.

        Args:
            columns: See `LargeTable.blocks`.
            responses: Whether to read the texts.

        Raises:
            TableError: A column is unknown, or a file is damaged.
        """
        wanted = {*CELLS, *QUERY_COLUMNS} if columns is None else set(columns)
        unknown = sorted(wanted - {*CELLS, *QUERY_COLUMNS})
        if unknown:
            msg = f"unknown column {unknown[0]!r}; there are {', '.join((*CELLS, *QUERY_COLUMNS))}"
            raise TableError(msg, field="columns")
        if self.judged and "quality" in wanted:
            wanted.add("judge")
        if self.computes_costs and "cost_usd" in wanted:
            # Nominal costs follow from the text's length, of the cells that carry a quality.
            wanted |= {"query", "quality"}
        texts = responses and self.knows("response")
        for facts in self.manifest.parts:
            part = Part.read(self.folder, facts.number, wanted, responses=texts)
            mask = on_sides(part.queries, self.sides)
            if mask.any():
                yield part.keep(mask)

    def tables(self, part: Part, size: int | None = None) -> Iterator[OutcomeTable]:
        """Yields a part's queries as tables of `size` at most; as one where it is None."""
        n = part.queries.height
        columns = np.full(len(self.manifest.arms), -1)
        places = {arm.name: place for place, arm in enumerate(self.manifest.arms)}
        columns[[places[arm.name] for arm in self.arms]] = np.arange(len(self.arms))
        edges = np.linspace(0, n, -(-n // (size or n)) + 1).astype(int).tolist()
        for start, stop in pairwise(edges):
            table = part.table(start, stop, self.arms, columns, self.cost_basis)
            if self.computes_costs and "cost_usd" in part.cells:
                table = with_nominal_costs(table)
            if self.judged and "quality" in part.cells:
                table = replace(table, quality=table.judge)
            yield table
