"""Who makes the calls of one process: as many at a time as each client bears, in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic

from fusionfactory.calls.base import A
from fusionfactory.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from fusionfactory.clients import ChatReply, Client

__all__ = ["Crew"]


class Crew(Generic[A]):
    """Makes calls and tells what came of each.

    Args:
        calls: In their order, per endpoint.
        clients: Endpoint name to client.
        may_start: Asked before every call; False ends whoever asked.
        told: Gets a call with its reply or its error.
    """

    def __init__(
        self,
        calls: Iterable[A],
        clients: Mapping[str, Client],
        *,
        may_start: Callable[[], Awaitable[bool]],
        told: Callable[[A, ChatReply | None, CallError | None], None],
    ) -> None:
        self._queues: dict[str, deque[A]] = {}
        for call in calls:
            self._queues.setdefault(call.endpoint, deque()).append(call)
        self._clients = clients
        self._may_start, self._told = may_start, told
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Those that have calls, or had some."""
        return tuple(self._queues)

    def has_more(self, endpoint: str) -> bool:
        """Whether calls of the endpoint are left to start."""
        return bool(self._queues[endpoint])

    def end(self, endpoint: str, model: str | None = None) -> None:
        """No call of the endpoint starts any more, whether it waits here or in the client.

        Args:
            endpoint: Whose; one without calls has nothing to end.
            model: Only the calls of this model.
        """
        queue = self._queues.get(endpoint)
        if queue is None:
            return
        if model is None:
            queue.clear()
            self._clients[endpoint].drop_waiting()
            return
        others = [waiting for waiting in queue if waiting.request.model != model]
        queue.clear()
        queue.extend(others)

    def drop(self) -> None:
        """Drops the calls under way, too."""
        for task in self._tasks:
            task.cancel()

    async def work(self, beside: asyncio.Task[None]) -> None:
        """Makes all calls.

        Args:
            beside: A task without which they are no use: its error ends them.

        Raises:
            Exception: What a client or the task beside raised, other than a `CallError`.
        """
        self._tasks = [
            asyncio.create_task(self._work(name, queue))
            for name, queue in self._queues.items()
            for _ in range(min(self._clients[name].concurrency, len(queue)))
        ]
        pending = {*self._tasks}
        try:
            while pending:
                done, _ = await asyncio.wait(
                    {*pending, beside}, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    if not task.cancelled():
                        task.result()
                pending -= done
        finally:
            self.drop()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, name: str, queue: deque[A]) -> None:
        client = self._clients[name]
        while queue and await self._may_start() and queue:
            call = queue.popleft()
            try:
                reply = await client.complete(call.request)
            except CallError as error:
                self._told(call, None, error)
            else:
                self._told(call, reply, None)
