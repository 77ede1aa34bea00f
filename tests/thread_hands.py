"""Workers of a run in threads and its desk in another one: what a cluster does, without one."""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from fusionfactory.scale.call_worker import CallWorker
from fusionfactory.scale.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from fusionfactory.scale.desk import Orders
    from fusionfactory.scale.shards import Shards

__all__ = ["ThreadHands"]


class _Method:
    def __init__(self, call: Callable[..., Any], loop: asyncio.AbstractEventLoop) -> None:
        self._call, self._loop = call, loop

    def remote(self, *facts: object) -> asyncio.Future[Any]:
        done = asyncio.run_coroutine_threadsafe(self._call(*facts), self._loop)
        # An actor does what it was asked even if nobody waits for it any more.
        return asyncio.shield(asyncio.wrap_future(done))


class _Handle:
    """What stands for an actor's handle."""

    def __init__(self, desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
        self._desk, self._loop = desk, loop

    def __getattr__(self, name: str) -> _Method:
        return _Method(getattr(self._desk, name), self._loop)


class ThreadHands:
    """Works with so many threads."""

    def __init__(self, workers: int = 2) -> None:
        self.workers = workers

    @contextmanager
    def desk(self, orders: Orders) -> Iterator[_Handle]:
        """A desk with a loop of its own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield _Handle(Desk(orders), loop)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10.0)
            loop.close()

    def work(self, shards: Shards, arguments: dict[str, Any]) -> None:
        """Shares the shards out."""
        waiting: queue.SimpleQueue[pa.Table] = queue.SimpleQueue()
        for part in shards.parts("calls").values():
            waiting.put(part)
        with ThreadPoolExecutor(self.workers) as pool:
            for done in [pool.submit(_work, waiting, arguments) for _ in range(self.workers)]:
                done.result()


def _work(waiting: queue.SimpleQueue[pa.Table], arguments: dict[str, Any]) -> None:
    with closing(CallWorker(**arguments)) as worker, suppress(queue.Empty):
        while True:
            worker(waiting.get_nowait())
