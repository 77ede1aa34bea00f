"""What calls cost, where the cost of some is not recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["filled_costs"]


def filled_costs(table: OutcomeTable) -> FloatArray:
    """(n, m) USD of every call, made or not: what is not recorded counts as the arm's mean.

    An arm none of whose costs is known counts as the dearest of the others, for it must not pass
    for a free one; where no cost is known at all, every call costs 0.
    """
    mean = table.arm_cost_usd()
    dearest = float(np.nanmax(mean)) if not np.isnan(mean).all() else 0.0
    mean = np.where(np.isnan(mean), dearest, mean)
    return np.where(np.isnan(table.cost_usd), mean, table.cost_usd)
