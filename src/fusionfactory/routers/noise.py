"""How much a quality counts that is the mean of several answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

__all__ = ["cell_weights"]

_LEAST_SHARE = 0.05


def cell_weights(quality: FloatArray, samples: FloatArray | None) -> FloatArray | None:
    """(n, m) weights of the cells, of mean 1 over those that are known; None where all count alike.

    A mean of s answers has variance b + w / s: b between queries, which more answers to one query
    do not lessen, and w between the answers to one. Its weight is the inverse. w is the mean of
    m (1 - m) s / (s - 1) over the cells with two answers or more, exact for right or wrong and an
    upper bound for scores between.

    Args:
        quality: (n, m) means in [0, 1]; NaN where missing.
        samples: (n, m) how many answers each is the mean of; None for one each.
    """
    if samples is None:
        return None
    known = ~np.isnan(quality) & (samples >= 1)
    several = known & (samples >= 2)
    if not several.any() or np.ptp(samples[known]) == 0:
        return None
    mean, count = quality[several], samples[several]
    within = float((mean * (1 - mean) * count / (count - 1)).mean())
    level = float(quality[known].mean())
    total = max(level * (1 - level), within, 1e-12)
    share = min(max(1 - within / total, _LEAST_SHARE), 1.0)
    weights = np.ones(quality.shape)
    weights[known] = samples[known] / (1 + (samples[known] - 1) * share)
    weights[known] /= weights[known].mean()
    return weights
