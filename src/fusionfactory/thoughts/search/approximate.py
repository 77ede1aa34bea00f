"""Approximate neighbours among millions of rows: an HNSW graph by the library usearch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fusionfactory.errors import MissingExtraError, ThoughtError

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.types import FloatArray, IntArray

__all__ = ["GRAPH", "Graph"]

GRAPH = "index.usearch"
"""Name of the graph's file in a bank's directory."""

_NUMBERS = "bf16"
_CONNECTIVITY = 32
_EXPANSION = 128
_ALONE = 4096
"""Rows that one thread puts in: put in by several at once, the first rows do not see each other,
and some are never found."""

_NOBODY = np.iinfo(np.uint64).max


class Graph:
    """A hierarchical navigable small world graph (Malkov and Yashunin, 2018) of rows by their ids.

    It holds its own copy of the rows in half the precision: who asks it scores the rows that it
    finds again.
    """

    def __init__(self, index: Any) -> None:  # noqa: ANN401  usearch is optional
        self._index = index

    @classmethod
    def of(cls, ids: IntArray, rows: FloatArray) -> Self:
        """A graph of (n, d) rows by (n,) uint64 ids.

        Raises:
            MissingExtraError: The extra `ann` is absent.
        """
        index = _usearch().Index(
            ndim=rows.shape[1],
            metric="cos",
            dtype=_NUMBERS,
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION,
            expansion_search=_EXPANSION,
        )
        made = cls(index)
        made.add(ids, rows)
        return made

    def __len__(self) -> int:
        return len(self._index)

    def add(self, ids: IntArray, rows: FloatArray) -> None:
        """Adds rows; one whose id is there takes the place of the old."""
        if len(self._index):
            self.delete(ids[self._index.contains(ids)])
        if len(ids):
            alone = max(0, _ALONE - len(self._index))
            self._index.add(ids[:alone], rows[:alone], threads=1)
            self._index.add(ids[alone:], rows[alone:])

    def delete(self, ids: IntArray) -> None:
        """Takes rows out."""
        if len(ids):
            self._index.remove(ids)

    def search(self, queries: FloatArray, count: int) -> IntArray:
        """(q, c) uint64 ids near each query, c at most `count`; the largest uint64 for none."""
        if not len(self._index) or not len(queries):
            return np.full((len(queries), 0), _NOBODY, dtype=np.uint64)
        self._index.expansion_search = max(_EXPANSION, 2 * count)
        matches = self._index.search(queries, count)
        if matches.keys.ndim == 1:  # of one query, whatever the shape of the queries
            return np.asarray(matches.keys[None])
        there = np.arange(matches.keys.shape[1]) < matches.counts[:, None]
        return np.where(there, matches.keys, _NOBODY)

    def save(self, path: Path) -> None:
        """Writes the graph."""
        self._index.save(path)

    @classmethod
    def load(cls, path: Path, rows: int, columns: int) -> Self:
        """Reads a graph.

        Raises:
            MissingExtraError: The extra `ann` is absent.
            ThoughtError: It cannot be read, or is of another number of rows or columns.
        """
        try:
            index = _usearch().Index.restore(path)
        except (ValueError, RuntimeError) as error:
            msg = f"cannot be read: {error}"
            raise ThoughtError(msg, file=path) from error
        if index is None or (len(index), index.ndim) != (rows, columns):
            msg = f"holds no graph of {rows} rows by {columns} columns"
            raise ThoughtError(msg, file=path)
        return cls(index)


def _usearch() -> Any:  # noqa: ANN401  usearch is optional
    try:
        import usearch.index
    except ModuleNotFoundError:
        what = "An approximate index (templates above 1,000,000, or asked for)"
        raise MissingExtraError(what, "ann") from None
    return usearch.index
