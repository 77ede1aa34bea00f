"""How well similar questions stand for a question: same task, same domain, same arms ahead.

A template helps only where its question resembles the new one in what it takes to answer. Whether
the embedding finds such questions is measured on an outcome table without any template: each query
beside its nearest neighbours, beside random queries, and beside random queries of its own task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import ThoughtError
from fusionfactory.thoughts.search.bans import bans
from fusionfactory.thoughts.search.nearest import nearest
from fusionfactory.thoughts.search.shelf import unit_vectors

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Contrast", "RetrievalQuality", "retrieval_quality"]

_REDRAWS = 30
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Contrast:
    """One measure of the nearest neighbours, beside two kinds of random ones.

    Attributes:
        nearest: Of the k nearest.
        random: Of k random queries.
        same_task: Of k random queries of the same task; NaN where there are none.
        above_random: 95 % interval of `nearest` less `random`.
        above_same_task: 95 % interval of `nearest` less `same_task`.
    """

    nearest: float
    random: float
    same_task: float
    above_random: tuple[float, float]
    above_same_task: tuple[float, float]


@dataclass(frozen=True, slots=True)
class RetrievalQuality:
    """What the nearest neighbours of the queries have in common with them.

    Attributes:
        queries: How many were asked.
        bank: How many could be found.
        k: Neighbours of each.
        similarity: Median cosine of the nearest.
        task: Share of the neighbours of the same task.
        domain: Share of the neighbours of the same domain, over queries that have one.
        best_arms: Correlation, over all queries and arms, of being a best arm of the query and
            being one of its neighbours; each arm less its mean, ties shared.
        quality: The same correlation of the quality itself.
        advantage: The same of the quality less the query's mean: which arms are ahead, not how
            hard the questions are.
    """

    queries: int
    bank: int
    k: int
    similarity: float
    task: Contrast
    domain: Contrast
    best_arms: Contrast
    quality: Contrast
    advantage: Contrast


def retrieval_quality(
    table: OutcomeTable,
    vectors: FloatArray,
    *,
    k: int = 3,
    bank: BoolArray | None = None,
    within_task: bool = False,
    draws: int = 1000,
    seed: int = 0,
) -> RetrievalQuality:
    """Measures the neighbours of every query; its near-duplicates are none of them.

    Args:
        table: n queries with outcomes.
        vectors: (n, d) embeddings of their texts.
        k: Neighbours of each query.
        bank: (n,) which queries may be found, for the others; None for all, for each other.
        within_task: Whether the neighbours are the nearest of the query's own task.
        draws: Resamples of the intervals, over groups of near-duplicates.
        seed: Of the resamples and of the random neighbours.

    Raises:
        ThoughtError: The vectors or the bank do not fit the table, or nobody is asked or found.
    """
    rows = unit_vectors(vectors, len(table), "query")
    mask = np.ones(len(table), dtype=bool) if bank is None else np.asarray(bank, dtype=bool)
    if mask.shape != (len(table),):
        msg = f"has shape {mask.shape}, expected ({len(table)},): one entry per query"
        raise ThoughtError(msg, field="bank")
    found_in = np.flatnonzero(mask)
    asked = found_in if bank is None else np.flatnonzero(~mask)
    if not len(found_in) or not len(asked):
        msg = f"{len(asked)} queries ask and {len(found_in)} can be found: give some of both"
        raise ThoughtError(msg, field="bank")
    groups, rng = table.groups(), np.random.default_rng(seed)
    one, tasks = np.zeros(len(table), dtype=int), np.unique(table.tasks, return_inverse=True)[1]
    pools = _Pools(asked, found_in, groups)
    near, similarity = pools.nearest(tasks if within_task else one, rows, k)
    drawn = [pools.random(kinds, k, rng) for kinds in (one, tasks)]
    sums = [_Sums(table, asked, found) for found in (near, *drawn)]
    resample = _weights(groups[asked], draws, rng)
    contrasts = {
        name: _contrast([getattr(one, name) for one in sums], *resample)
        for name in ("task", "domain", "best_arms", "quality", "advantage")
    }
    middle = float(np.nanmedian(similarity[:, 0])) if (near[:, 0] >= 0).any() else float("nan")
    return RetrievalQuality(len(asked), len(found_in), k, middle, **contrasts)


@dataclass(frozen=True, slots=True)
class _Pools:
    """Who asks, who can be found, and (n,) groups of near-duplicates, which never find each other.

    Kinds are (n,) numbers: a query finds those of its own kind.
    """

    asked: IntArray
    found_in: IntArray
    groups: IntArray

    def nearest(self, kinds: IntArray, rows: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        found = np.full((len(self.asked), k), -1, dtype=np.int64)
        similarity = np.full((len(self.asked), k), np.nan)
        for kind in np.unique(kinds[self.asked]).tolist():
            who = np.flatnonzero(kinds[self.asked] == kind)
            pool = self.found_in[kinds[self.found_in] == kind]
            pool = pool[np.argsort(self.groups[pool], kind="stable")]
            low, high = self._range(self.groups, pool, who)
            own = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
            at, similarity[who] = nearest(rows[pool], rows[self.asked[who]], k, pool, bans(own))
            found[who] = np.where(at >= 0, pool[at], -1) if len(pool) else -1
        return found, similarity

    def random(self, kinds: IntArray, k: int, rng: np.random.Generator) -> IntArray:
        """(q, k) random rows, with replacement; -1 where none is drawn."""
        pool = self.found_in[np.argsort(kinds[self.found_in], kind="stable")]
        low, high = self._range(kinds, pool, np.arange(len(self.asked)))
        found = np.full((len(self.asked), k), -1, dtype=np.int64)
        for _ in range(_REDRAWS):
            who, column = np.nonzero((found < 0) & (high > low)[:, None])
            drawn = pool[rng.integers(low[who], high[who])]
            fits = self.groups[drawn] != self.groups[self.asked[who]]
            found[who[fits], column[fits]] = drawn[fits]
        return found

    def _range(self, numbers: IntArray, pool: IntArray, who: IntArray) -> tuple[IntArray, IntArray]:
        """Where those of a query's own number begin and end in a pool sorted by it."""
        own = numbers[self.asked[who]]
        low, high = (np.searchsorted(numbers[pool], own, side=s) for s in ("left", "right"))
        return low, high


class _Sums:
    """Per query three sums, of which pooled ones give a measure as a / sqrt(b * c)."""

    def __init__(self, table: OutcomeTable, asked: IntArray, found: IntArray) -> None:
        self._asked, self._found = asked, found
        self._there = (found >= 0).astype(np.float64)
        self.task = self._share(table.tasks)
        domains = np.asarray(table.queries["domain"].fill_null("").to_list(), dtype=np.str_)
        self.domain = self._share(domains)
        quality = table.quality
        top = np.nanmax(np.nan_to_num(quality, nan=-np.inf), axis=1, keepdims=True)
        best = np.where(np.isnan(quality), np.nan, quality == top)
        count = np.nansum(best, axis=1, keepdims=True)
        self.best_arms = self._correlation(best / np.where(count > 0, count, 1.0))
        self.quality = self._correlation(quality)
        known = ~np.isnan(quality)
        mean = np.nansum(quality, axis=1) / np.maximum(known.sum(axis=1), 1)
        self.advantage = self._correlation(quality - mean[:, None])

    def _share(self, names: np.ndarray) -> FloatArray:
        named = (names[self._asked] != "").astype(np.float64)
        same = (names[self._found] == names[self._asked][:, None]) * self._there
        count = self._there.sum(axis=1) * named
        return np.stack([same.sum(axis=1) * named, count, count], axis=1)

    def _correlation(self, values: FloatArray) -> FloatArray:
        known = ~np.isnan(values)
        mean = np.nansum(values, axis=0) / np.maximum(known.sum(axis=0), 1)
        less = np.where(known, values - mean, 0.0)
        count = (known[self._found] * self._there[:, :, None]).sum(axis=1)
        theirs = (less[self._found] * self._there[:, :, None]).sum(axis=1) / np.maximum(count, 1)
        both = known[self._asked] & (count > 0)
        own, theirs = less[self._asked] * both, theirs * both
        parts = (own * theirs, own**2, theirs**2)
        return np.stack([part.sum(axis=1) for part in parts], axis=1)


def _weights(groups: IntArray, draws: int, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
    """(q,) group numbers from 0, and (draws + 1, groups) weights: the plain one and resamples."""
    _, number = np.unique(groups, return_inverse=True)
    count = int(number.max()) + 1
    weights = np.ones((draws + 1, count), dtype=np.float32)
    share = np.full(count, 1.0 / count)
    for row in weights[1:]:
        row[:] = rng.multinomial(count, share)
    return number, weights


def _contrast(sums: list[FloatArray], groups: IntArray, weights: FloatArray) -> Contrast:
    near, anywhere, within = (_measure(one, groups, weights) for one in sums)
    return Contrast(
        float(near[0]),
        float(anywhere[0]),
        float(within[0]),
        _interval(near[1:] - anywhere[1:]),
        _interval(near[1:] - within[1:]),
    )


def _measure(sums: FloatArray, groups: IntArray, weights: FloatArray) -> FloatArray:
    """(draws + 1,) the measure under each row of weights; NaN where nothing is known."""
    pooled = np.zeros((weights.shape[1], 3))
    np.add.at(pooled, groups, sums)
    a, b, c = (weights @ pooled).T
    scale = np.sqrt(b * c)
    return np.asarray(np.divide(a, scale, out=np.full(len(a), np.nan), where=scale > 0))


def _interval(differences: FloatArray) -> tuple[float, float]:
    known = differences[~np.isnan(differences)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
