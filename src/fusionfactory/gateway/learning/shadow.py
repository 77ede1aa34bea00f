"""What a router that only watches would have changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.gateway.learning.promotion import compare

if TYPE_CHECKING:
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


def watch(logged: Logged, shadow: Rated, incumbent: Rated, policy: Policy) -> Watched:
    """Compares a shadow router with the one that decides.

    Args:
        logged: Decisions of the gateway.
        shadow: The router that watches.
        incumbent: The router that decides.
        policy: That both decide by.

    Raises:
        TableError: No decision is there that neither may have learned from, or none is scored.
    """
    told = [np.array([d.arm for d in one.router.decide(logged.text, policy)], dtype=np.str_)
            for one in (incumbent, shadow)]  # fmt: skip
    parted = Counter(
        (str(old), str(new)) for old, new in zip(*told, strict=True) if old != new
    ).most_common(_SHOWN)
    moves = tuple((old, new, count / len(logged)) for (old, new), count in parted)
    return Watched(compare(logged, shadow, incumbent, policy), moves)
