"""The k most similar of many unit rows, exactly: BLAS finds the few that can be among them.

BLAS scores all rows in single precision. The k highest scores of blocks of rows are those of k
different rows, so no row under the lowest of them, less a rounding error, can be among the k most
similar, and only in blocks that reach it are rows looked at. Those above it are scored again in
double precision, in an order that depends on the values alone: so equal rows are equally similar
wherever they stand, and a query's neighbours do not depend on the queries beside it. With a screen
(`search.screen`) BLAS computes bounds, and the lowest score comes from the rows of the highest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fusionfactory.thoughts.search.bans import Bans
    from fusionfactory.thoughts.search.screen import Screen
    from fusionfactory.types import BoolArray, FloatArray, IntArray

    Pairs: TypeAlias = tuple[IntArray, IntArray]

__all__ = ["nearest", "ranked"]

_TILE = 1 << 18
"""Scores that are computed at a time, 1 MiB; they stay in the processor's cache."""
_QUERIES = 256
"""Queries at a time, or fewer:"""
_SCORES = 1 << 25
"""scores that are held at a time, 128 MiB."""
_PAIRS = 1 << 10
"""Pairs of a query and a row that are scored again at a time."""
_LARGEST_BLOCK = 64
_BLOCKS_PER_NEIGHBOUR = 16
_MOST_BLOCKS, _MOST_LEFT = 0.8, 0.02
"""Shares of the blocks and of the rows above which a screen leaves too many to be worth it."""


def nearest(
    rows: FloatArray,
    queries: FloatArray,
    k: int,
    rank: IntArray,
    banned: Bans,
    screen: Screen | None = None,
) -> tuple[IntArray, FloatArray]:
    """The k rows of the highest dot product with each query.

    Args:
        rows: (n, d) float32 of length 1 or 0.
        queries: (q, d) float32 likewise.
        k: At least 1.
        rank: (n,) ints; of equally similar rows those of the lowest rank come first.
        banned: Pairs that may not be found.
        screen: Of the rows; changes nothing but the time.

    Returns:
        (q, k) positions, most similar first, -1 where nothing is left; (q, k) dot products, NaN
        there.
    """
    parts: list[tuple[IntArray, FloatArray]] = [(np.zeros((0, k), dtype=int), np.zeros((0, k)))]
    step = max(min(_QUERIES, len(queries), _SCORES // max(len(rows), 1)), 1)
    # One for all parts: the system clears fresh memory, which takes as long as the products.
    room = np.empty((len(rows) + _LARGEST_BLOCK) * step, dtype=np.float32)
    for start in range(0, len(queries), step):
        part = slice(start, min(start + step, len(queries)))
        few = banned.within(slice(0, len(rows)), part)
        search = _Search(rows, queries[part], k, rank, room)
        best = (screen and search.screened(screen, few)) or search.plain(few)
        parts.append(best.table(part.stop - part.start, k))
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
    who, column = np.nonzero(candidates >= 0)
    there = candidates[who, column]
    allowed = ~np.isin(who * len(rows) + there, banned.queries * len(rows) + banned.rows)
    nothing = np.zeros(0, dtype=np.float32)
    best = _Search(rows, queries, k, rank, nothing).best([(who[allowed], there[allowed])])
    return best.table(len(queries), k)


class _Scores:
    """(n, q) products of rows and queries, and the highest of each block of rows."""

    def __init__(
        self, rows: FloatArray, queries: FloatArray, banned: Bans, block: int, room: FloatArray
    ) -> None:
        self._size = block
        blocks = -(-len(rows) // block)
        self._all = room[: blocks * block * len(queries)].reshape(blocks * block, len(queries))
        self._all[len(rows) :] = -np.inf
        highest = np.empty((blocks, len(queries)), dtype=np.float32)
        step = max(_TILE // (block * len(queries)), 1)
        for first in range(0, blocks, step):
            last = min(first + step, blocks)
            start, stop = first * block, min(last * block, len(rows))
            np.matmul(rows[start:stop], queries.T, out=self._all[start:stop])
            few = banned.within(slice(start, stop), slice(0, len(queries)))
            self._all[few.rows + start, few.queries] = -np.inf
            tile = self._all[start : last * block].reshape(last - first, block, len(queries))
            np.max(tile, axis=1, out=highest[first:last])
        self._highest = np.ascontiguousarray(highest.T)

    def kth(self, k: int) -> FloatArray:
        """(q,) the kth highest of the blocks' highest; -inf where there are fewer blocks."""
        blocks = self._highest.shape[1]
        if blocks < k:
            return np.full(len(self._highest), -np.inf)
        return np.asarray(np.partition(self._highest, blocks - k, axis=1)[:, blocks - k])

    def high(self, count: int) -> tuple[IntArray, BoolArray]:
        """(q, c) rows of high scores, c at most `count`, and which of them a query may find."""
        blocks = self._highest.shape[1]
        block = np.argpartition(self._highest, max(blocks - count, 0), axis=1)[:, -count:]
        who = np.arange(len(block))[:, None]
        scores = self._of(block, who).reshape(len(block), -1)
        rows = (block[:, :, None] * self._size + np.arange(self._size)).reshape(scores.shape)
        best = np.argpartition(scores, max(scores.shape[1] - count, 0), axis=1)[:, -count:]
        allowed = scores[who, best] > -np.inf
        return np.where(allowed, rows[who, best], 0), allowed

    def share(self, least: FloatArray) -> float:
        """Share of the blocks that reach a query's least score."""
        return float((self._highest >= least[:, None]).mean())

    def reaching(self, least: FloatArray) -> Iterator[Pairs]:
        """Queries and rows of all scores that are no less than the query's, a part at a time."""
        who, block = np.nonzero((self._highest >= least[:, None]) & (self._highest > -np.inf))
        step = max(_SCORES // 32 // self._size, 1)
        for start in range(0, len(who), step):
            part = slice(start, start + step)
            scores = self._of(block[part], who[part])
            reached = (scores >= least[who[part], None]) & (scores > -np.inf)
            pair, place = np.nonzero(reached)
            yield who[part][pair], block[part][pair] * self._size + place

    def _of(self, block: IntArray, who: IntArray) -> FloatArray:
        """(..., size) the scores of blocks."""
        blocks = self._all.reshape(-1, self._size, self._all.shape[1])
        return np.asarray(blocks[block[..., None], np.arange(self._size), who[..., None]])


class _Scored(NamedTuple):
    """Pairs of a query and a row, and their dot products, by query, the highest first."""

    queries: IntArray
    rows: IntArray
    scores: FloatArray

    def table(self, queries: int, k: int) -> tuple[IntArray, FloatArray]:
        """(q, k) rows and scores."""
        found = np.full((queries, k), -1, dtype=np.int64)
        scores = np.full((queries, k), np.nan)
        place = _places(self.queries)
        found[self.queries, place], scores[self.queries, place] = self.rows, self.scores
        return found, scores


class _Search:
    """One search of a few queries over all rows; the arguments are `nearest`'s."""

    def __init__(
        self, rows: FloatArray, queries: FloatArray, k: int, rank: IntArray, room: FloatArray
    ) -> None:
        self._rows, self._queries, self._k, self._rank, self._room = rows, queries, k, rank, room
        self._precise = queries.astype(np.float64)
        self._block = min(max(len(rows) // (_BLOCKS_PER_NEIGHBOUR * k), 1), _LARGEST_BLOCK)
        self._margin = 2.0 * (rows.shape[1] + 2) * np.finfo(np.float32).eps

    def plain(self, banned: Bans) -> _Scored:
        """The best k of every query."""
        scores = _Scores(self._rows, self._queries, banned, self._block, self._room)
        return self.best(scores.reaching(scores.kth(self._k) - self._margin))

    def screened(self, screen: Screen, banned: Bans) -> _Scored | None:
        """The same by a screen; None where it leaves too many rows."""
        if len(self._rows) < 2 * self._k:
            return None
        turned = screen.turned(self._queries)
        bounds = _Scores(screen.rows, turned, banned, self._block, self._room)
        high, allowed = bounds.high(2 * self._k)
        some = self._products(np.repeat(np.arange(len(high)), high.shape[1]), high.ravel())
        some = np.where(allowed, some.reshape(high.shape), -np.inf)
        least = -np.partition(-some, self._k - 1, axis=1)[:, self._k - 1] - self._margin
        if bounds.share(least) > _MOST_BLOCKS:
            return None
        left, most = [], _MOST_LEFT * len(self._rows) * len(self._queries)
        for pairs in bounds.reaching(least):
            left.append(pairs)
            most -= len(pairs[0])
            if most < 0:
                return None
        return self.best(left)

    def best(self, pairs: Iterable[Pairs]) -> _Scored:
        """The best k of every query among pairs of a query and a row."""
        kept = _Scored(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
        for who, rows in pairs:
            kept = self._merged(kept, who, rows)
        return kept

    def _products(self, who: IntArray, rows: IntArray) -> FloatArray:
        """The dot products of pairs in double precision."""
        products = np.empty(len(who))
        for start in range(0, len(who), _PAIRS):
            part = slice(start, start + _PAIRS)
            # A plain sum along the row is the same for the same values; BLAS need not be.
            each = self._rows[rows[part]].astype(np.float64)
            each *= self._precise[who[part]]
            products[part] = each.sum(axis=1)
        return products

    def _merged(self, kept: _Scored, who: IntArray, rows: IntArray) -> _Scored:
        """The best k of every query among those kept and new ones."""
        scores = np.concatenate([kept.scores, self._products(who, rows)])
        who, rows = np.concatenate([kept.queries, who]), np.concatenate([kept.rows, rows])
        order = np.lexsort((self._rank[rows], -scores, who))
        best = order[_places(who[order]) < self._k]
        return _Scored(who[best], rows[best], scores[best])


def _places(queries: IntArray) -> IntArray:
    """The place of every entry among its query's, for sorted query numbers."""
    return np.asarray(np.arange(len(queries)) - np.searchsorted(queries, queries))
