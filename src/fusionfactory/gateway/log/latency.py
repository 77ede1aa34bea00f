"""Histograms of seconds, so fine that they give the quantiles of a million requests."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.types import FloatArray

__all__ = ["histogram", "merged", "quantiles"]

_SHORTEST_S = 1e-4
_STEP = math.log(1.02)
_PAIR = np.dtype([("place", "<u2"), ("count", "<u4")])


def histogram(times: Iterable[float | None]) -> bytes:
    """Counts of known times in classes 2 % wide, whose middle is wrong by 1 % at most."""
    counts = Counter(
        max(0, math.floor(math.log(max(seconds, _SHORTEST_S) / _SHORTEST_S) / _STEP))
        for seconds in times
        if seconds is not None
    )
    return np.array(sorted(counts.items()), dtype=_PAIR).tobytes()


def merged(histograms: Iterable[bytes]) -> bytes:
    """The histogram of all times of several."""
    counts = _counts(histograms)
    places = np.flatnonzero(counts)
    pairs = np.empty(len(places), dtype=_PAIR)
    pairs["place"], pairs["count"] = places, counts[places]
    return pairs.tobytes()


def quantiles(histograms: Iterable[bytes], shares: Sequence[float]) -> list[float | None]:
    """Quantiles in seconds of all times of several histograms; None where there is none.

    Args:
        histograms: Of `histogram` or `merged`.
        shares: Of each quantile, in [0, 1].
    """
    total = _counts(histograms).cumsum()
    if not len(total):
        return [None] * len(shares)
    ranks = np.asarray(shares) * (total[-1] - 1) + 1
    found = np.searchsorted(total, ranks - 1e-9)
    return [round(float(s), 6) for s in _SHORTEST_S * np.exp((found + 0.5) * _STEP)]


def _counts(histograms: Iterable[bytes]) -> FloatArray:
    pairs = np.frombuffer(b"".join(histograms), dtype=_PAIR)
    return np.bincount(pairs["place"], weights=pairs["count"]).astype(np.float64)
