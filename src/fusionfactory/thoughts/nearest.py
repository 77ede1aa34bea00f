"""The k most similar of many unit rows, exactly: BLAS finds the few that can be among them.

BLAS scores all rows in single precision, tile by tile, and of every block of rows only the highest
score is kept. The k highest of those are scores of k different rows, so no row under the lowest of
them, less a rounding error, can be among the k most similar; the blocks above it are scored again
in double precision, in an order that depends on the values alone. So equal rows are equally similar
wherever they stand, and a query's neighbours do not depend on the queries beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Bans", "bans", "nearest", "ranked"]

_TILE = 4096
"""Rows that are scored at a time; their scores stay in the processor's cache."""
_QUERIES = 256
"""Queries at a time."""
_LARGEST_BLOCK = 64
_BLOCKS_PER_NEIGHBOUR = 16
_NUMBERS = 1 << 22
"""Numbers of the rows that are scored again at a time."""


class Bans(NamedTuple):
    """What may not be found, by position.

    Attributes:
        rows: Positions, ascending.
        queries: For each of them, the number of the query that may not find it.
    """

    rows: IntArray
    queries: IntArray

    def within(self, rows: slice, queries: slice | IntArray) -> Bans:
        """Those of a range of rows and of some queries, in the numbers of the parts."""
        low, high = np.searchsorted(self.rows, [rows.start, rows.stop])
        at, who = self.rows[low:high] - rows.start, self.queries[low:high]
        if isinstance(queries, slice):
            kept = (who >= queries.start) & (who < queries.stop)
            return Bans(at[kept], who[kept] - queries.start)
        place = np.searchsorted(queries, who)
        kept = place < len(queries)
        kept[kept] = queries[place[kept]] == who[kept]
        return Bans(at[kept], place[kept])


def bans(excluded: Sequence[Sequence[int] | IntArray] | None) -> Bans:
    """The bans of each query's excluded rows."""
    lists = [np.asarray(rows, dtype=np.int64).ravel() for rows in excluded or ()]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *lists])
    queries = np.repeat(np.arange(len(lists)), [len(rows) for rows in lists])
    order = np.argsort(rows, kind="stable")
    return Bans(rows[order], queries[order])


def nearest(
    rows: FloatArray, queries: FloatArray, k: int, rank: IntArray, banned: Bans
) -> tuple[IntArray, FloatArray]:
    """The k rows of the highest dot product with each query.

    Args:
        rows: (n, d) float32 of length 1 or 0.
        queries: (q, d) float32 likewise.
        k: At least 1.
        rank: (n,) ints; of equally similar rows those of the lowest rank come first.
        banned: Pairs that may not be found.

    Returns:
        (q, k) positions, most similar first, -1 where nothing is left; (q, k) dot products, NaN
        there.
    """
    parts = []
    for start in range(0, len(queries), _QUERIES):
        part = slice(start, min(start + _QUERIES, len(queries)))
        few = banned.within(slice(0, len(rows)), part)
        best = _Search(rows, queries[part], k, rank, few).run()
        parts.append(best.table(part.stop - part.start, k))
    if not parts:
        return np.zeros((0, k), dtype=np.int64), np.zeros((0, k))
    found, similarity = zip(*parts, strict=True)
    return np.concatenate(found), np.concatenate(similarity)


def ranked(
    rows: FloatArray,
    queries: FloatArray,
    candidates: IntArray,
    k: int,
    rank: IntArray,
    banned: Bans,
) -> tuple[IntArray, FloatArray]:
    """The best k of each query's candidates, scored and ordered as by `nearest`.

    Args:
        rows: As of `nearest`, and so are `queries`, `k`, `rank` and `banned`.
        queries: (q, d).
        candidates: (q, c) positions, each at most once in its line; -1 for none.
        k: At least 1.
        rank: (n,).
        banned: Pairs that may not be found.
    """
    search = _Search(rows, queries, k, rank, banned)
    who, column = np.nonzero(candidates >= 0)
    return search.best(who, candidates[who, column]).table(len(queries), k)


class _Scored(NamedTuple):
    """Pairs of a query and a row, and their dot products."""

    queries: IntArray
    rows: IntArray
    scores: FloatArray

    def table(self, queries: int, k: int) -> tuple[IntArray, FloatArray]:
        """(q, k) rows and scores of pairs that are sorted already."""
        found = np.full((queries, k), -1, dtype=np.int64)
        scores = np.full((queries, k), np.nan)
        place = _places(self.queries)
        found[self.queries, place], scores[self.queries, place] = self.rows, self.scores
        return found, scores


class _Search:
    """One search of a few queries over all rows; the arguments are `nearest`'s."""

    def __init__(
        self, rows: FloatArray, queries: FloatArray, k: int, rank: IntArray, banned: Bans
    ) -> None:
        self._rows, self._queries, self._k = rows, queries, k
        self._rank, self._banned = rank, banned
        self._block = min(max(len(rows) // (_BLOCKS_PER_NEIGHBOUR * k), 1), _LARGEST_BLOCK)
        self._margin = 2.0 * (rows.shape[1] + 2) * np.finfo(np.float32).eps
        self._precise = queries.astype(np.float64)
        self._step = max(_NUMBERS // max(rows.shape[1], 1), self._block)

    def run(self) -> _Scored:
        """The best k of every query, by query, the most similar first."""
        maxima = self._maxima()
        least = self._least(maxima)
        who, block = np.nonzero((maxima >= least[:, None]) & (maxima > -np.inf))
        kept = _NOTHING
        step = self._step // self._block
        for start in range(0, len(who), step):
            part = slice(start, start + step)
            kept = self._merged(kept, *self._near(who[part], block[part], least))
        return kept

    def best(self, queries: IntArray, rows: IntArray) -> _Scored:
        """The best k of every query among given pairs, less the banned ones."""
        allowed = self._allowed(queries, rows)
        queries, rows = queries[allowed], rows[allowed]
        kept = _NOTHING
        for start in range(0, len(queries), self._step):
            part = slice(start, start + self._step)
            kept = self._merged(kept, queries[part], rows[part], self._rows[rows[part]])
        return kept

    def _maxima(self) -> FloatArray:
        """(q, blocks) float32: the highest score of each block of rows that is not banned."""
        count, size = len(self._rows), self._block
        maxima = np.empty((-(-count // size), len(self._queries)), dtype=np.float32)
        step = max(_TILE // size, 1) * size
        for start in range(0, count, step):
            stop = min(start + step, count)
            scores = self._rows[start:stop] @ self._queries.T
            few = self._banned.within(slice(start, stop), slice(0, len(self._queries)))
            scores[few.rows, few.queries] = -np.inf
            whole, first = (stop - start) // size, start // size
            blocks = scores[: whole * size].reshape(whole, size, scores.shape[1])
            np.max(blocks, axis=1, out=maxima[first : first + whole])
            if whole * size < stop - start:
                maxima[first + whole] = scores[whole * size :].max(axis=0)
        return np.ascontiguousarray(maxima.T)

    def _least(self, maxima: FloatArray) -> FloatArray:
        """(q,) the score below which no row is among the best k."""
        blocks = maxima.shape[1]
        if blocks < self._k:
            return np.full(len(maxima), -np.inf)
        kth = np.partition(maxima, blocks - self._k, axis=1)[:, blocks - self._k]
        return np.asarray(kth - self._margin)

    def _near(
        self, who: IntArray, block: IntArray, least: FloatArray
    ) -> tuple[IntArray, IntArray, FloatArray]:
        """Queries, rows and vectors of the rows in these blocks that can be among the best."""
        rows = (block[:, None] * self._block + np.arange(self._block)).ravel()
        queries = np.repeat(who, self._block)
        inside = rows < len(self._rows)
        rows, queries = rows[inside], queries[inside]
        vectors = self._rows[rows]
        near = np.einsum("nd,nd->n", vectors, self._queries[queries]) >= least[queries]
        near &= self._allowed(queries, rows)
        return queries[near], rows[near], vectors[near]

    def _allowed(self, queries: IntArray, rows: IntArray) -> BoolArray:
        banned = self._banned.queries * len(self._rows) + self._banned.rows
        return ~np.isin(queries * len(self._rows) + rows, banned)

    def _merged(
        self, kept: _Scored, queries: IntArray, rows: IntArray, vectors: FloatArray
    ) -> _Scored:
        """The best k of every query among those kept and new ones."""
        # A plain sum along the row is the same for the same values; BLAS and einsum need not be.
        new = (vectors.astype(np.float64) * self._precise[queries]).sum(axis=1)
        queries = np.concatenate([kept.queries, queries])
        rows = np.concatenate([kept.rows, rows])
        scores = np.concatenate([kept.scores, new])
        order = np.lexsort((self._rank[rows], -scores, queries))
        best = order[_places(queries[order]) < self._k]
        return _Scored(queries[best], rows[best], scores[best])


_NOTHING = _Scored(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))


def _places(queries: IntArray) -> IntArray:
    """The place of every entry among its query's, for sorted query numbers."""
    return np.asarray(np.arange(len(queries)) - np.searchsorted(queries, queries))
