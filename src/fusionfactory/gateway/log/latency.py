"""Classes of seconds, so narrow that a count of each gives the quantiles of a million requests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["latency_class", "quantiles"]

_SHORTEST_S = 1e-4
_STEP = math.log(1.02)


def latency_class(seconds: float | None) -> int | None:
    """The class of a time: 2 % wide, so that its middle is wrong by 1 % at most."""
    if seconds is None:
        return None
    return max(0, math.floor(math.log(max(seconds, _SHORTEST_S) / _SHORTEST_S) / _STEP))


def quantiles(
    counts: Iterable[tuple[int | None, int]], shares: Sequence[float]
) -> list[float | None]:
    """Quantiles in seconds, of classes with their counts; None where nothing is known.

    Args:
        counts: (class, number of times); a class may stand several times.
        shares: Of each quantile, in [0, 1].
    """
    known = [(number, count) for number, count in counts if number is not None and count]
    if not known:
        return [None] * len(shares)
    pairs = np.asarray(known, dtype=np.int64)
    histogram = np.bincount(pairs[:, 0], weights=pairs[:, 1]).cumsum()
    ranks = np.asarray(shares) * (histogram[-1] - 1) + 1
    found = np.searchsorted(histogram, ranks - 1e-9)
    return [round(float(s), 6) for s in _SHORTEST_S * np.exp((found + 0.5) * _STEP)]
