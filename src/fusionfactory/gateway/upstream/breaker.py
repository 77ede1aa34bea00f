"""Leaves an endpoint's model alone that keeps failing, and tries it again with one call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Breaker", "BreakerState"]

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]

_PROBE_S = 0.1


class Breaker:
    """Opens after so many failures in a row. Then one call, the probe, decides whether it closes.

    Args:
        failures: In a row, after which it opens.
        open_s: Seconds for which nobody is let through.
        now: Tells the time in seconds; None takes the running event loop.
    """

    def __init__(
        self, failures: int, open_s: float, *, now: Callable[[], float] | None = None
    ) -> None:
        self.open_s = open_s
        self.failures = 0
        self.last = ""
        self._threshold = failures
        self._now = now
        self._until: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """Whether calls pass: all, none, or one that decides."""
        if self._until is None:
            return "closed"
        return "half_open" if self._probing or self._time() >= self._until else "open"

    @property
    def wait_s(self) -> float:
        """Seconds until a call may pass; 0 for at once. A guess while a probe is under way."""
        if self._until is None:
            return 0.0
        if self._probing:
            return _PROBE_S
        return max(self._until - self._time(), 0.0)

    def begin(self) -> bool:
        """Asks to pass; whoever may says how it went, by one of the methods below."""
        if self._until is None:
            return True
        if self._probing or self._time() < self._until:
            return False
        self._probing = True
        return True

    def answered(self) -> None:
        """The endpoint began to answer, which is enough of a probe."""
        self._until, self._probing = None, False

    def succeeded(self) -> None:
        """The endpoint answered, to the end."""
        self.answered()
        self.failures = 0

    def failed(self, why: str) -> None:
        """It did not."""
        self.failures += 1
        self.last = why
        if self._probing or self.failures >= self._threshold:
            self._until = self._time() + self.open_s
        self._probing = False

    def abandoned(self) -> None:
        """The call says nothing about the endpoint; another one has to be the probe."""
        self._probing = False

    def _time(self) -> float:
        return self._now() if self._now else asyncio.get_running_loop().time()
