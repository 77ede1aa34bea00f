"""Conformal risk control: how bold a rule may be, with a guarantee for any finite sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import PolicyError

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

__all__ = ["boldest"]


def boldest(losses: FloatArray, level: float, bound: float = 1.0) -> int:
    """The boldest rule whose expected loss on a new query is at most `level`.

    Angelopoulos et al., Conformal Risk Control (2024): over calibration and test queries drawn
    alike, the expected loss of the chosen rule is at most the level, however few they are. Where a
    bolder rule happens to lose less on a query, it counts as losing what safer ones did.

    Args:
        losses: (n, r) of rules, from the safest to the boldest, on n queries that no rule was
            learned from; in [0, bound].
        level: Expected loss that is allowed.
        bound: The largest loss there can be.

    Returns:
        Column of the rule.

    Raises:
        PolicyError: Not even the safest rule is known to keep the level.
    """
    n = len(losses)
    risk = np.maximum.accumulate(losses, axis=1).mean(axis=0)
    upper = (n * risk + bound) / (n + 1)
    kept = np.nonzero(upper <= level)[0]
    if not kept.size:
        msg = (
            f"a loss of {level:g} cannot be promised: from {n} queries the safest rule is known "
            f"to lose at most {upper[0]:.4g}; allow as much, or calibrate on more queries"
        )
        raise PolicyError(msg)
    return int(kept[-1])
