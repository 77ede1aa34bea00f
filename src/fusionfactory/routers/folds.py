"""Folds of a cross-fitting, with near-duplicate queries in one fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import IntArray

__all__ = ["fold_numbers"]


def fold_numbers(groups: IntArray, folds: int, seed: int) -> IntArray:
    """(n,) fold numbers from 0; fewer folds than asked for where there are fewer groups.

    Args:
        groups: (n,) numbers from 0 of what must stay together, as `OutcomeTable.groups` gives.
        folds: How many, at least 1.
        seed: Of the permutation.
    """
    count = int(groups.max()) + 1
    order = np.random.default_rng(seed).permutation(count)
    return np.asarray(order[groups] % min(folds, count))
