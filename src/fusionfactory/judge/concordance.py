"""How far two raters agree: accuracy, Cohen's kappa, AUC, rank correlation, with intervals.

Every statistic is computed from counts, so that a bootstrap over queries is a product of weights
and counts. Kappa: Cohen (1960); quadratic weights: Cohen (1968).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Figure", "accuracy", "auc", "bootstrapped", "kappa", "spearman", "table_per_query"]

_LEAST_QUERIES = 2
_CHUNK = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """A statistic with its 95 % bootstrap interval over queries; NaN where it is undefined.

    One query alone says nothing about others: it has no interval.
    """

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, object]:
        """`{"value", "ci95"}`, null for NaN."""
        interval = None if np.isnan(self.low) else [self.low, self.high]
        return {"value": None if np.isnan(self.value) else self.value, "ci95": interval}


def table_per_query(
    groups: IntArray, rows: IntArray, columns: IntArray, shape: tuple[int, int]
) -> FloatArray:
    """(g, r, c) how often each pair of categories occurs in each group.

    Args:
        groups: (n,) group numbers from 0.
        rows: (n,) categories of one rater.
        columns: (n,) categories of the other.
        shape: r and c.
    """
    counts = np.zeros((int(groups.max()) + 1 if len(groups) else 0, *shape))
    np.add.at(counts, (groups, rows, columns), 1.0)
    return counts


def accuracy(tables: FloatArray) -> FloatArray:
    """(...) share on the diagonal of (..., k, k) tables."""
    return _ratio(np.trace(tables, axis1=-2, axis2=-1), tables.sum(axis=(-2, -1)))


def kappa(tables: FloatArray, *, quadratic: bool = False) -> FloatArray:
    """(...) Cohen's kappa of (..., k, k) tables; NaN where both raters use one category only."""
    size = tables.shape[-1]
    steps = np.subtract.outer(np.arange(size), np.arange(size))
    weights = (steps**2).astype(float) if quadratic else (steps != 0).astype(float)
    total = tables.sum(axis=(-2, -1))
    expected = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :]
    seen = (weights * tables).sum(axis=(-2, -1)) * total
    return 1.0 - _ratio(seen, (weights * expected).sum(axis=(-2, -1)))


def auc(tables: FloatArray) -> FloatArray:
    """(...) area under the ROC curve of (..., v, 2) counts: ascending values x wrong, right."""
    wrong, right = tables[..., 0], tables[..., 1]
    below = np.cumsum(wrong, axis=-1) - wrong
    won = (right * (below + wrong / 2)).sum(axis=-1)
    return _ratio(won, wrong.sum(axis=-1) * right.sum(axis=-1))


def spearman(one: FloatArray, other: FloatArray) -> float:
    """Rank correlation of (n,) values, ties at their mean rank; NaN where either is constant."""
    if len(one) == 0 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def bootstrapped(
    statistic: Callable[[FloatArray], FloatArray],
    per_query: FloatArray,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Figure:
    """A statistic of summed tables with its interval over resampled queries.

    Args:
        statistic: (..., r, c) tables to (...) values.
        per_query: (q, r, c) counts.
        draws: Resamples.
        seed: Of the resamples.
    """
    queries = len(per_query)
    value = float(statistic(per_query.sum(axis=0)))
    if queries < _LEAST_QUERIES:
        return Figure(value, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    share = np.full(queries, 1.0 / queries)
    values = np.empty(draws)
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        weights = rng.multinomial(queries, share, size=size).astype(float)
        values[start : start + size] = statistic(np.tensordot(weights, per_query, axes=1))
    values = values[~np.isnan(values)]
    if not values.size:
        return Figure(value, float("nan"), float("nan"))
    low, high = np.quantile(values, [0.025, 0.975])
    return Figure(value, float(low), float(high))


def _ranks(values: FloatArray) -> FloatArray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    out = np.full(np.shape(below), np.nan)
    np.divide(above, below, out=out, where=np.asarray(below) > 0)
    return out
