"""One query's utilities and choice in plain numbers, equal to `Policy.utility` and `choose`.

Arrays of one row cost more in calls than in arithmetic; the arithmetic here is the same, operation
by operation.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fusionfactory.errors import PolicyError
from fusionfactory.policy import TIE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.policy import Policy
    from fusionfactory.types import Estimates

__all__ = ["Row", "Trade", "best"]


@dataclass(frozen=True, slots=True)
class Row:
    """What a router expects of its arms on one query.

    Attributes:
        quality: Per arm; under the paper's recipe its reward.
        cost_usd: Per arm; NaN when unknown.
        quality_slope: See `Normaliser.slopes`.
        cost_slope: Likewise.
        quality_std: Per arm, where the router knows it.
        task: Name of the likeliest task, where it knows the odds.
        told: Arm to expected quality and USD, for the record; not to be changed.
        whole: All of the router's estimates, where it chooses in a way of its own.
        remembered: What was computed from the row before.
    """

    quality: list[float]
    cost_usd: list[float]
    quality_slope: float
    cost_slope: float
    quality_std: list[float] | None = None
    task: str | None = None
    told: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    whole: Estimates | None = None
    remembered: dict[object, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trade:
    """A policy as one router applies it.

    Attributes:
        policy: Without a budget: that has become a price of quality.
        by_reward: Whether the estimates are rewards under the policy already.
        head_start: Quality by which arms are favoured, per arm of the router; None for none.
    """

    policy: Policy
    by_reward: bool = False
    head_start: tuple[float, ...] | None = None

    def gain(self, row: Row) -> float:
        """Utility of one unit of quality."""
        if self.by_reward:
            return 1.0
        return self.policy.alpha * (row.quality_slope if self.policy.normalised else 1.0)

    def utilities(self, row: Row, columns: Sequence[int]) -> list[float]:
        """The utility of some arms; -inf for one that the policy rules out.

        Args:
            row: The router's estimates.
            columns: Of the arms.

        Raises:
            PolicyError: Cost matters and no arm's cost is known.
        """
        quality = [row.quality[i] for i in columns]
        if self.by_reward:
            return quality
        policy, ahead = self.policy, self.head_start
        if ahead is not None:
            quality = [value + ahead[i] for value, i in zip(quality, columns, strict=True)]
        gain = self.gain(row)
        if policy.beta <= 0 and policy.max_cost_usd is None:
            return [gain * value for value in quality]
        cost = [row.cost_usd[i] for i in columns]
        if all(math.isnan(usd) for usd in cost):
            msg = f"policy {policy.name!r} weighs cost, but no arm's cost is known"
            raise PolicyError(msg)
        loss = policy.beta * (row.cost_slope if policy.normalised else 1.0)
        utility = [
            -math.inf if math.isnan(usd) else gain * value - loss * usd
            for value, usd in zip(quality, cost, strict=True)
        ]
        if policy.max_cost_usd is None:
            return utility
        return _under(policy.max_cost_usd, utility, cost)


def _under(most: float, utility: list[float], cost: list[float]) -> list[float]:
    """-inf for what costs more; where everything does, for all but the cheapest."""
    ruled_out = [not usd <= most for usd in cost]
    if all(ruled_out):
        least = min(usd for usd in cost if not math.isnan(usd))
        ruled_out = [usd != least for usd in cost]
    return [-math.inf if out else u for u, out in zip(utility, ruled_out, strict=True)]


def best(utility: Sequence[float], cost_usd: Sequence[float]) -> int:
    """The place of the highest utility; ties go to the lower cost, then to the first.

    Args:
        utility: Of arms in the order of their names.
        cost_usd: Theirs; NaN counts as dearer than any known cost.
    """
    top = max(utility)
    floor = top - TIE * max(1.0, abs(top))
    found, least = -1, math.inf
    for place, value in enumerate(utility):
        if value >= floor:
            usd = cost_usd[place]
            usd = sys.float_info.max if math.isnan(usd) else usd
            if usd < least:
                found, least = place, usd
    return found
