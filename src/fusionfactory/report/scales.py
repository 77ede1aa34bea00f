"""Axes: values to pixels, and where the ticks go."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LOG_ABOVE", "TINY", "Scale"]

LOG_ABOVE = 20.0
"""Ratio of the largest to the smallest value above which a logarithmic axis is easier to read."""
TINY = 1e-15
"""What counts as 0 on a logarithmic axis."""


@dataclass(frozen=True)
class Scale:
    """One axis.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Pixel.
        end: Pixel.
        log: Whether equal distances are equal ratios; values of 0 or less, and hardly more, then
            stand at `start`.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(
        cls,
        values: Sequence[float],
        start: float,
        end: float,
        *,
        pad: float = 0.05,
        log: bool = False,
    ) -> Scale:
        """A scale that holds the values with a margin of that share on either side."""
        if log:
            positive = [value for value in values if value > TINY]
            low, high = log10(min(positive)), log10(max(positive))
            if len(positive) < len(values):
                low -= 0.3
            room = max((high - low) * pad, 0.02)
            return cls(10 ** (low - room), 10 ** (high + room), start, end, log=True)
        low, high = min(values), max(values)
        room = (high - low) * pad or abs(high) * pad or 0.05
        return cls(low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        """The pixel of a value, outside the axis too."""
        if not self.log:
            share = (value - self.low) / (self.high - self.low)
        elif value <= TINY:
            share = 0.0
        else:
            share = log10(value / self.low) / log10(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether the value is on the axis."""
        return self.low <= value <= self.high or (self.log and value <= TINY)

    def ticks(self, most: int) -> list[float]:
        """At most so many round values, rising."""
        return self._log_ticks(most) if self.log else self._linear_ticks(most)

    def _linear_ticks(self, most: int) -> list[float]:
        span = self.high - self.low
        if not (isfinite(span) and span > 0):
            return [self.low]
        unit = 10.0 ** (floor(log10(span)) - 1)
        steps = (unit * factor for factor in (1, 2, 5, 10, 20, 50, 100))
        step = next((s for s in steps if floor(self.high / s) - ceil(self.low / s) < most), span)
        first = ceil(self.low / step - 1e-9)
        last = floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]

    def _log_ticks(self, most: int) -> list[float]:
        powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            ticks = [f * 10.0**p for p in powers for f in factors if self.holds(f * 10.0**p)]
            if len(ticks) <= most:
                return ticks
        return ticks[:: ceil(len(ticks) / most)]
