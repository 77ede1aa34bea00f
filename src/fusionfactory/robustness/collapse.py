"""Collapse: whether decisions go to one arm, or to few, beyond what chance may do.

Both measures come with a bound at 95 % confidence, so that a limit is passed for certain.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fusionfactory.errors import InputError
from fusionfactory.intervals import wilson

if TYPE_CHECKING:
    from fusionfactory.types import IntArray

__all__ = ["FEWEST", "Spread", "spread"]

FEWEST = 50
"""Decisions below which nothing counts as collapsed."""
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Spread:
    """How decisions spread over arms.

    Attributes:
        decisions: How many.
        arms: How many there were to choose from.
        top: Column of the arm chosen most often; the first one of equals.
        share: Its share of the decisions.
        share_low: Lower end of the share's 95 % interval (Wilson).
        entropy: Of the shares, divided by that of equal shares.
        entropy_high: The entropy and 1.64 of its standard errors (delta method).
        idle: Columns that were never chosen.
    """

    decisions: int
    arms: int
    top: int
    share: float
    share_low: float
    entropy: float
    entropy_high: float
    idle: tuple[int, ...]

    def collapsed(
        self, top_share: float = 0.97, entropy: float = 0.1
    ) -> Literal["top_share", "entropy"] | None:
        """Which limit is passed for certain, if one is; the top share first.

        Args:
            top_share: Share of one arm from which decisions count as collapsed.
            entropy: Normalised entropy below which they do.
        """
        if self.decisions < FEWEST or self.arms < 2:
            return None
        if self.share_low >= top_share:
            return "top_share"
        return "entropy" if self.entropy_high < entropy else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"idle": list(self.idle)}


def spread(chosen: IntArray, arms: int) -> Spread:
    """How decisions spread over the arms.

    Args:
        chosen: (n,) columns of the arms chosen.
        arms: Number of arms.

    Raises:
        InputError: There is no decision.
    """
    n = len(chosen)
    if not n:
        msg = "there is no decision to measure"
        raise InputError(msg, field="chosen")
    counts = np.bincount(chosen, minlength=arms)
    top = int(counts.argmax())
    shares = counts / n
    logs = np.log(shares[shares > 0])
    value = -float(shares[shares > 0] @ logs) + 0.0
    error = math.sqrt(max(0.0, float(shares[shares > 0] @ logs**2) - value**2) / n)
    whole = math.log(arms) if arms > 1 else 1.0
    return Spread(
        decisions=n,
        arms=arms,
        top=top,
        share=float(shares[top]),
        share_low=wilson(float(shares[top]), n)[0],
        entropy=value / whole,
        entropy_high=(value + NormalDist().inv_cdf(_CONFIDENCE) * error) / whole,
        idle=tuple(np.nonzero(counts == 0)[0].tolist()),
    )
