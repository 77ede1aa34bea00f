"""The way to an arm: its endpoint's pool and its model's breaker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fusionfactory.gateway.fleet import Target
    from fusionfactory.gateway.upstream.breaker import Breaker
    from fusionfactory.gateway.upstream.pool import Pool

__all__ = ["Lane"]


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """An arm with what stands before it.

    Attributes:
        target: The arm.
        pool: Of its endpoint, shared with every other model there.
        breaker: Of its model at the endpoint, shared with the model's other strategies.
    """

    target: Target
    pool: Pool
    breaker: Breaker

    @property
    def wait_s(self) -> float:
        """Seconds until it may be asked; 0 for at once."""
        return max(self.breaker.wait_s, self.pool.limiter.pause_s)
