"""What a router that only watches would have changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.gateway.learning.evidence import choices
from fusionfactory.gateway.learning.promotion import compare

if TYPE_CHECKING:
    from collections.abc import Collection

    from fusionfactory.gateway.learning.evidence import Rated
    from fusionfactory.gateway.learning.promotion import Comparison
    from fusionfactory.gateway.log.logged import Logged
    from fusionfactory.policy import Policy

__all__ = ["Watched", "watch"]

_SHOWN = 10


@dataclass(frozen=True)
class Watched:
    """A shadow router beside the one that decides.

    Attributes:
        comparison: Agreement and estimated gain, on the decisions since both were fitted or of
            queries that neither was fitted on.
        moves: The arm of the one that decides, the shadow's, and on which share of the decisions
            they part that way; most frequent first.
    """

    comparison: Comparison
    moves: tuple[tuple[str, str, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        moves = [{"from": old, "to": new, "share": share} for old, new, share in self.moves]
        return {**self.comparison.to_json(), "moves": moves}


def watch(
    logged: Logged,
    shadow: Rated,
    incumbent: Rated,
    policy: Policy,
    *,
    asked: Collection[str] | None = None,
) -> Watched:
    """Compares a shadow router with the one that decides.

    Args:
        logged: Decisions of the gateway.
        shadow: The router that watches.
        incumbent: The router that decides.
        policy: That both decide by.
        asked: Names of the arms that the gateway has; None for all that the routers know.

    Raises:
        TableError: No decision is there that neither may have learned from, none is scored, or a
            router knows no arm of the gateway.
    """
    told = []
    for one in (incumbent, shadow):
        estimates = one.router.estimate(logged.text)
        told.append(np.array(estimates.arms)[choices(one.router, estimates, policy, asked)])
    parted = Counter(
        (str(old), str(new)) for old, new in zip(*told, strict=True) if old != new
    ).most_common(_SHOWN)
    moves = tuple((old, new, count / len(logged)) for (old, new), count in parted)
    return Watched(compare(logged, shadow, incumbent, policy, asked=asked), moves)
