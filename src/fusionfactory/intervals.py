"""Intervals: a paired bootstrap over queries, over several splits at once, and Wilson's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Bootstrap", "wilson"]

_Z = 1.959963984540054


class Bootstrap:
    """Resamples groups of near-duplicate queries with replacement, the same draws for everyone.

    Test sets of several seeds overlap, so seeds are not resampled: a draw weighs every query once
    for all seeds, and the statistic is the mean over seeds of the weighted mean difference.

    Args:
        groups: (n,) group number of every query of the whole table.
        draws: Resamples.
        seed: Of the draws.
    """

    def __init__(self, groups: IntArray, draws: int = 1000, seed: int = 0) -> None:
        self._groups = groups
        self._count = int(groups.max()) + 1
        rng = np.random.default_rng(seed)
        share = np.full(self._count, 1.0 / self._count)
        self._weights = np.empty((draws, self._count), dtype=np.float32)
        for row in self._weights:
            row[:] = rng.multinomial(self._count, share)

    def interval(
        self, rows: Sequence[IntArray], differences: Sequence[FloatArray], level: float = 0.95
    ) -> tuple[float, float]:
        """Percentile interval of the mean difference.

        Args:
            rows: Per seed, the table rows of its test queries.
            differences: Per seed, the paired differences; NaN where either side is unknown.
            level: Of the interval.
        """
        total = np.zeros((self._count, len(rows)), dtype=np.float32)
        known = np.zeros_like(total)
        for seed, (index, values) in enumerate(zip(rows, differences, strict=True)):
            seen = ~np.isnan(values)
            groups = self._groups[index[seen]]
            total[:, seed] = np.bincount(groups, values[seen], minlength=self._count)
            known[:, seed] = np.bincount(groups, minlength=self._count)
        weight = self._weights @ known
        means = np.divide(
            self._weights @ total, weight, out=np.full_like(weight, np.nan), where=weight > 0
        ).mean(axis=1)
        means = means[~np.isnan(means)]
        if not means.size:
            return float("nan"), float("nan")
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def wilson(mean: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a mean of scores in [0, 1].

    It is wider than need be where scores are neither 0 nor 1. Wilson (1927), Probable
    inference, the law of succession, and statistical inference.
    """
    share = _Z * _Z / n
    middle = (mean + share / 2) / (1 + share)
    half = _Z / (1 + share) * math.sqrt(mean * (1 - mean) / n + share / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)
