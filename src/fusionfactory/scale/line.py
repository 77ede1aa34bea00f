"""A worker's line to the desk: what it tells, batch by batch, and what it hears.

Whatever happens while a message is on its way goes into the next one, so that a busy worker sends
few of them.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from fusionfactory.scale.messages import Return, Want

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from fusionfactory.clients import ChatReply, ChatRequest, Client
    from fusionfactory.scale.messages import End, Event, News, Opened

__all__ = ["Line", "PacedClient", "SharedLimits"]


class Line:
    """Talks to the desk for one worker. Belongs to one event loop.

    Args:
        ask: Calls a method of the desk, by its name, and awaits what it says.
    """

    def __init__(self, ask: Callable[..., Awaitable[Any]]) -> None:
        self._ask = ask
        self._name = uuid.uuid4().hex
        self._tickets = count()
        self._out: list[Event] = []
        self._filled = asyncio.Event()
        self._waiting: dict[int, tuple[Want, asyncio.Future[None]]] = {}

    async def open(self, numbers: Sequence[int]) -> Opened:
        """Takes a batch on."""
        opened: Opened = await self._ask("open", self._name, numbers)
        return opened

    async def close(self) -> None:
        """Ends the batch, after the last of what there is to tell."""
        events, self._out = self._out, []
        await self._ask("tell", self._name, events)
        await self._ask("close", self._name)

    async def fail(self, fault: str) -> None:
        """Ends the run."""
        await self._ask("fail", fault)

    async def talk(self, on_end: Callable[[End], None], on_drop: Callable[[], None]) -> None:
        """Tells and hears for as long as the batch lasts.

        Args:
            on_end: Called with what has ended.
            on_drop: Called when every call is to be dropped.
        """
        async with asyncio.TaskGroup() as both:
            both.create_task(self._send())
            both.create_task(self._listen(on_end, on_drop))

    def tell(self, event: Event) -> None:
        """Lets the desk know, soon."""
        self._out.append(event)
        self._filled.set()

    async def leave(self, endpoint: str, tokens: float) -> int:
        """Waits for leave for one attempt, and gives its ticket."""
        want = Want(next(self._tickets), endpoint, tokens)
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[want.ticket] = want, granted
        self.tell(want)
        try:
            await granted
        except asyncio.CancelledError:
            self.tell(Return(want.ticket))
            raise
        finally:
            del self._waiting[want.ticket]
        return want.ticket

    async def _send(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            events, self._out = self._out, []
            await self._ask("tell", self._name, events)

    async def _listen(self, on_end: Callable[[End], None], on_drop: Callable[[], None]) -> None:
        while True:
            news: News = await self._ask("hear", self._name)
            for ticket in news.grants:
                if ticket in self._waiting and not self._waiting[ticket][1].done():
                    self._waiting[ticket][1].set_result(None)
            for end in news.ends:
                on_end(end)
            if news.drop:
                on_drop()
            if news.forgotten:
                for want, granted in self._waiting.values():
                    if not granted.done():
                        self.tell(want)


class SharedLimits:
    """An endpoint's limits, held by the desk for all workers.

    Args:
        line: To the desk.
        endpoint: Whose.
        concurrency: Attempts of this worker at a time at most.
    """

    def __init__(self, line: Line, endpoint: str, concurrency: int) -> None:
        self._line, self._endpoint = line, endpoint
        self.concurrency = concurrency

    @asynccontextmanager
    async def slot(self, tokens: float = 0.0) -> AsyncIterator[_Leave]:
        """As `Limiter.slot` has it."""
        leave = _Leave(await self._line.leave(self._endpoint, tokens))
        try:
            yield leave
        finally:
            self._line.tell(leave.over())


class _Leave:
    def __init__(self, ticket: int) -> None:
        self._ticket = ticket
        self._facts: dict[str, Any] = {}

    def succeeded(self) -> None:
        self._facts["succeeded"] = True

    def overloaded(self, wait_s: float | None = None) -> None:
        self._facts.update(overloaded=True, wait_s=wait_s)

    def used(self, tokens: float) -> None:
        self._facts["tokens"] = tokens

    def over(self) -> Return:
        return Return(self._ticket, **self._facts)


class PacedClient:
    """A client without limits of its own, which asks for leave before every call.

    Args:
        client: Makes the calls; closed with this one.
        limits: Give leave.
    """

    def __init__(self, client: Client, limits: SharedLimits) -> None:
        self._client, self._limits = client, limits
        self._idle: set[asyncio.Task[Any]] = set()

    @property
    def concurrency(self) -> int:
        """Of the client within."""
        return self._client.concurrency

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Makes one call.

        Raises:
            CallError: As the client within.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  only called from coroutines
        self._idle.add(task)
        try:
            async with self._limits.slot():
                self._idle.discard(task)
                return await self._client.complete(request)
        finally:
            self._idle.discard(task)

    def drop_waiting(self) -> None:
        """Cancels the tasks that wait for leave."""
        for task in tuple(self._idle):
            task.cancel()
        self._client.drop_waiting()

    async def close(self) -> None:
        """Closes the client within."""
        await self._client.close()
