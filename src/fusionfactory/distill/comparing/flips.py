"""How many answers training turned to the better and to the worse, and whether luck could have.

The sign test is exact; where outcomes are right or wrong it is McNemar's. It asks less than a
bootstrap interval, but its p-values are small enough to be corrected for many tasks.
"""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray, IntArray

__all__ = ["flips", "holm"]

_NOTHING = 1e-9


def flips(differences: FloatArray, groups: IntArray) -> dict[str, Any]:
    """Queries won and lost, and the two-sided p-value of the sign test.

    Args:
        differences: (n,) quality after minus quality before.
        groups: (n,) near-duplicates share a number and count as one query.
    """
    _, inverse = np.unique(groups, return_inverse=True)
    total = np.bincount(inverse, differences)
    won, lost = int((total > _NOTHING).sum()), int((total < -_NOTHING).sum())
    return {"won": won, "lost": lost, "p": _sign_test(won, lost)}


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value as Holm (1979) corrects it for all of them."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    found = [1.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p_values[place]))
        found[place] = least
    return found


def _sign_test(won: int, lost: int) -> float:
    count = won + lost
    tail = sum(comb(count, fewer) for fewer in range(min(won, lost) + 1))
    return min(1.0, float(Fraction(2 * tail, 2**count)))
