"""Which arm stands out by its means: the best, the cheapest and the dearest, ties told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray, IntArray

__all__ = ["best_arm", "cheapest_arm", "dearest_arm"]

_THIN = 10


def best_arm(
    names: Sequence[str], quality: FloatArray, cost_usd: FloatArray, cells: IntArray
) -> int:
    """Column of the highest mean quality; ties go to the cheaper arm, then to the arm's name.

    Args:
        names: Of m arms.
        quality: (m,) means; NaN where unknown.
        cost_usd: (m,) means; NaN where unknown.
        cells: (m,) how many qualities each mean is made of. An arm with under a tenth of the cells
            of the best covered one is no candidate.

    Raises:
        TableError: No cell carries a quality.
    """
    ranked = np.where(cells * _THIN < cells.max(), np.nan, np.round(quality, 12))
    if np.isnan(ranked).all():
        msg = "no cell carries a quality"
        raise TableError(msg, field="performance")
    cost = np.nan_to_num(cost_usd, nan=np.inf)
    return int(np.lexsort((np.asarray(names), cost, -np.nan_to_num(ranked, nan=-np.inf)))[0])


def cheapest_arm(names: Sequence[str], quality: FloatArray, cost_usd: FloatArray) -> int:
    """Column of the lowest mean cost; the worse arm where costs are equal. See `best_arm`."""
    cost = np.nan_to_num(cost_usd, nan=np.inf)
    return int(np.lexsort((np.asarray(names), quality, cost))[0])


def dearest_arm(names: Sequence[str], quality: FloatArray, cost_usd: FloatArray) -> int:
    """Column of the highest mean cost; the better arm where costs are equal. See `best_arm`."""
    cost = np.nan_to_num(cost_usd, nan=-np.inf)
    return int(np.lexsort((np.asarray(names), -quality, -cost))[0])
