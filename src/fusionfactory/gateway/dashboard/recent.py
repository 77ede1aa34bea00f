"""Answers that are a second old at most, so that many open pages cost what one does."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread

from fusionfactory.errors import StoreAwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Recent"]

T = TypeVar("T")

_THREADS = 2
_REST = 4.0
"""A slow query is left alone for so many times what it took: it keeps a fifth of a core busy."""


class Recent:
    """Runs queries in a few threads of its own, each query once however many wait for it.

    Args:
        ttl_s: Seconds for which an answer is given again; longer where it took long to find.
        most: Answers that are kept.
        clock: Seconds.
    """

    def __init__(
        self, ttl_s: float = 1.0, most: int = 64, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_s = ttl_s
        self._most = most
        self._clock = clock
        self._found: OrderedDict[Hashable, tuple[asyncio.Task[Any], list[float]]] = OrderedDict()
        self._limiter: anyio.CapacityLimiter | None = None

    async def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, or gave a moment ago for the same key; a failure is not kept."""
        there = self._found.get(key)
        if there is not None:
            task, ends = there
            if not task.done() or (ends and self._clock() < ends[0]):
                return await asyncio.shield(task)
        ends = []
        task = asyncio.ensure_future(self._run(make, ends))
        self._found[key] = task, ends
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            self._found.popitem(last=False)
        return await asyncio.shield(task)

    async def fresh(self, make: Callable[[], T], within_s: float = math.inf) -> T:
        """What `make` gives, now.

        Args:
            make: Asks the store.
            within_s: Seconds after which nobody waits for it any more: a store whose packets are
                lost on the way may leave a question without an answer for minutes.

        Raises:
            StoreAwayError: It took longer.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_THREADS)
        with anyio.move_on_after(within_s):
            return await anyio.to_thread.run_sync(
                make, limiter=self._limiter, abandon_on_cancel=within_s < math.inf
            )
        msg = f"the store did not answer within {within_s:g} s; try again, or at another gateway"
        raise StoreAwayError(msg)

    def forget(self) -> None:
        """After a change: the next answers are new."""
        self._found.clear()

    async def _run(self, make: Callable[[], T], ends: list[float]) -> T:
        began = self._clock()
        made = await self.fresh(make)
        now = self._clock()
        ends.append(now + max(self._ttl_s, _REST * (now - began)))
        return made
