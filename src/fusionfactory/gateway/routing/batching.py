"""Work off the event loop: one thread that takes all that waits at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Batcher", "Unanswered"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_LONGEST_REASON = 200


class Unanswered(Exception):
    """There is no result: the work failed, took too long, or too much waits. Says which."""


class _Waiter(NamedTuple, Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Result]
    loop: asyncio.AbstractEventLoop


class Batcher(Generic[Item, Result]):
    """Does work for the tasks of event loops on one thread, which begins with the first item.

    A batch that fails is done again item by item, so that nobody fails for another one's sake.

    Args:
        work: Items to as many results, in order. Runs on the thread alone.
        name: Of the thread.
        most: Items of a batch.
        waiting: Items that may wait.
        patience_s: Seconds after which work is taken to hang: until it ends, nobody waits for it.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        name: str,
        most: int = 64,
        waiting: int = 1024,
        patience_s: float = 1.0,
    ) -> None:
        self._work, self._name, self._most, self._waiting = work, name, most, waiting
        self._patience_s = patience_s
        self._queue: SimpleQueue[_Waiter[Item, Result] | None] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._closed = False
        self._began: float | None = None

    async def ask(self, item: Item, within_s: float) -> Result:
        """The result of one item.

        Raises:
            Unanswered: There is none within so many seconds.
        """
        future = self.submit(item)
        try:
            async with asyncio.timeout(within_s):
                return await future
        except TimeoutError:
            msg = f"it took longer than {within_s:g} s"
            raise Unanswered(msg) from None

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """The result to come; whoever cancels it is passed over.

        Raises:
            Unanswered: Too much waits, or the work hangs.
        """
        began = self._began
        if began is not None and time.monotonic() - began > self._patience_s:
            msg = f"the one before it has taken longer than {self._patience_s:g} s"
            raise Unanswered(msg)
        if self._queue.qsize() >= self._waiting:
            msg = f"{self._waiting} others wait"
            raise Unanswered(msg)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        with self._lock:
            if self._closed:
                msg = "it has been closed"
                raise Unanswered(msg)
            if self._thread is None:
                self._thread = Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._queue.put(_Waiter(item, future, loop))
        return future

    def close(self) -> None:
        """Ends the thread after what waits already; returns at once."""
        with self._lock:
            self._closed = True
            self._queue.put(None)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            self._answer([first, *self._others()])

    def _others(self) -> list[_Waiter[Item, Result]]:
        """What else waits."""
        others: list[_Waiter[Item, Result]] = []
        with contextlib.suppress(Empty):
            while len(others) < self._most - 1:
                waiter = self._queue.get_nowait()
                if waiter is None:
                    self._queue.put(None)
                    break
                others.append(waiter)
        return others

    def _answer(self, waiters: Sequence[_Waiter[Item, Result]]) -> None:
        waiters = [waiter for waiter in waiters if not waiter.future.cancelled()]
        if not waiters:
            return
        self._began = time.monotonic()
        try:
            results = self._work([waiter.item for waiter in waiters])
        except Exception as error:  # noqa: BLE001  the thread must outlive whatever fails
            self._began = None
            if len(waiters) > 1:
                for waiter in waiters:
                    self._answer([waiter])
                return
            reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
            _deliver(waiters[0], error=Unanswered(reason))
            return
        self._began = None
        for waiter, result in zip(waiters, results, strict=True):
            _deliver(waiter, result)


def _deliver(
    waiter: _Waiter[Item, Result], result: Result | None = None, error: Unanswered | None = None
) -> None:
    def settle() -> None:
        if waiter.future.done():
            return
        if error is not None:
            waiter.future.set_exception(error)
        else:
            waiter.future.set_result(result)  # type: ignore[arg-type]

    # A loop that has been closed meanwhile waits for nothing.
    with contextlib.suppress(RuntimeError):
        waiter.loop.call_soon_threadsafe(settle)
