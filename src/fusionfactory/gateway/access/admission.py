"""A request that was let in, until what it used is charged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fusionfactory.gateway.access.meter import Meter

__all__ = ["Admission"]


class Admission:
    """Counts as under way from its making until it is settled, at what requests cost on average.

    Args:
        meter: Counts what the client uses; None where nothing is counted.
        clock: Unix seconds.
        tokens: Of the prompt, estimated.
        headers: Of the answer: what is left of the key's limits per minute.
    """

    def __init__(
        self,
        meter: Meter | None,
        clock: Callable[[], float],
        tokens: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.headers = headers or {}
        self._meter, self._clock, self._tokens = meter, clock, tokens
        if meter is not None:
            meter.count(clock(), 1, tokens)
            meter.begin()

    def settle(self, tokens: int | None, usd: float | None) -> None:
        """Charges what the request has used; once.

        Args:
            tokens: Of prompt and answer; None when unknown: what was estimated stands.
            usd: What it cost; None when unknown: it counts as the key's requests do on average.
                0 for what nobody is paid for: a refusal before any call, an answer from the cache.
        """
        meter, self._meter = self._meter, None
        if meter is None:
            return
        now = self._clock()
        if tokens is not None and tokens != self._tokens:
            meter.count(now, 0, tokens - self._tokens)
        meter.end(now, usd)
