"""A worker as the desk sees it: what it waits for, what it holds, and what it is still to hear."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fusionfactory.scale.messages import News

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.clients.limits import Limiter, Slot
    from fusionfactory.scale.messages import End, Return, Want

__all__ = ["Seat"]


class Seat:
    """One worker's place at the desk.

    Args:
        forgotten: Whether its worker was taken for dead before.

    Attributes:
        seen_s: When the worker was last heard of, by the loop's clock.
    """

    def __init__(self, *, forgotten: bool = False) -> None:
        self.seen_s = asyncio.get_running_loop().time()
        self._waiting: dict[int, tuple[str, asyncio.Task[None]]] = {}
        self._held: dict[int, Slot] = {}
        self._grants: list[int] = []
        self._ends: list[End] = []
        self._drop = False
        self._forgotten = forgotten
        self._filled = asyncio.Event()
        if forgotten:
            self._filled.set()

    def wait(self, want: Want, limiter: Limiter, room: asyncio.Event) -> None:
        """Lines up for an attempt; the worker hears when it may begin, once there is room, too."""
        if want.ticket in self._waiting or want.ticket in self._held:
            return
        task = asyncio.create_task(self._line_up(want, limiter, room))
        self._waiting[want.ticket] = want.endpoint, task

    def give_back(self, done: Return) -> Slot | None:
        """Takes an attempt off what the worker waits for or holds.

        Returns:
            Its slot, told how the attempt went and still to be released; None if it had none.
        """
        if done.ticket in self._waiting:
            self._waiting.pop(done.ticket)[1].cancel()
            return None
        if done.ticket not in self._held:
            return None
        slot = self._held.pop(done.ticket)
        if done.overloaded:
            slot.overloaded(done.wait_s)
        if done.succeeded:
            slot.succeeded()
        if done.tokens is not None:
            slot.used(done.tokens)
        return slot

    def end(self, ends: Iterable[End]) -> None:
        """Calls off what waits for those endpoints, and lets the worker know."""
        for endpoint, model in ends:
            self._ends.append((endpoint, model))
            if model is None:
                self._call_off(endpoint)
        self._filled.set()

    def drop(self) -> None:
        """The worker is to drop every call."""
        self._drop = True
        self._filled.set()

    def leave(self) -> None:
        """Frees all that the worker waits for and holds."""
        self._call_off(None)
        for slot in self._held.values():
            slot.release()
        self._held.clear()

    async def news(self, longest_s: float) -> News:
        """What the worker has not heard yet, as soon as there is something, or after a while."""
        try:
            async with asyncio.timeout(longest_s):
                await self._filled.wait()
        except TimeoutError:
            return News()
        self._filled.clear()
        told = News(tuple(self._grants), tuple(self._ends), self._drop, self._forgotten)
        self._grants, self._ends, self._forgotten = [], [], False
        return told

    async def _line_up(self, want: Want, limiter: Limiter, room: asyncio.Event) -> None:
        await room.wait()
        slot = await limiter.acquire(want.tokens)
        del self._waiting[want.ticket]
        self._held[want.ticket] = slot
        self._grants.append(want.ticket)
        self._filled.set()

    def _call_off(self, endpoint: str | None) -> None:
        for ticket, (name, task) in list(self._waiting.items()):
            if endpoint in {None, name}:
                task.cancel()
                del self._waiting[ticket]
