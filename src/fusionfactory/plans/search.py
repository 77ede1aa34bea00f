"""Which arms a cascade asks and in which order, chosen on the training queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["find_stages"]

_CHEAP = 4


def find_stages(table: OutcomeTable) -> list[list[int]]:
    """The cheapest arms first, then the best single one."""
    best = table.best_single()
    cost = np.nan_to_num(table.arm_cost_usd(), nan=np.inf)
    cheap = [int(arm) for arm in np.argsort(cost, kind="stable") if arm != best][:_CHEAP]
    return [cheap, [best]] if cheap else [[best]]
