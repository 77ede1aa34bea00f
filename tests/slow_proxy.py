"""A way between two programs that a test can slow down, cut and mend."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SlowProxy", "slow_proxy"]

_PIECE = 64 * 1024


class SlowProxy:
    """Passes what comes to a port of loopback on to another one.

    A cut way is as if packets vanished: whoever is connected, or connects, hears nothing more. When
    it is mended, connections of that time are reset, as by a firewall that has forgotten them.

    Attributes:
        port: Where to connect.
        delay_s: For how long every piece is held, in both directions.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.delay_s = 0.0
        self._target = target
        self._passes = asyncio.Event()
        self._passes.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Lets nothing pass."""
        self._call(self._passes.clear)

    def mend(self) -> None:
        """Lets new connections pass, and ends the old ones."""
        self._call(self._mend)

    def _call(self, what: object) -> None:
        assert self._loop is not None
        assert callable(what)
        self._loop.call_soon_threadsafe(what)

    def _mend(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._passes.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ours = {writer}
        self._writers.add(writer)
        try:
            await self._passes.wait()
            if writer.is_closing():
                return
            there, onward = await asyncio.open_connection("127.0.0.1", self._target)
            ours.add(onward)
            self._writers.add(onward)
            await asyncio.gather(self._pump(reader, onward), self._pump(there, writer))
        except OSError:
            pass
        finally:
            for each in ours:
                each.transport.abort()
            self._writers -= ours
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._passes.wait()
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def _serve(self, started: threading.Event, over: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await over.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)


@contextmanager
def slow_proxy(target: int) -> Iterator[SlowProxy]:
    """Passes on for as long as the block lasts, in a thread.

    Args:
        target: The port on 127.0.0.1 that it leads to.
    """
    proxy, loop, started = SlowProxy(target), asyncio.new_event_loop(), threading.Event()
    over = asyncio.Event()
    work = proxy._serve(started, over)
    thread = threading.Thread(target=loop.run_until_complete, args=(work,), daemon=True)
    thread.start()
    try:
        assert started.wait(10.0), "the proxy did not start"
        yield proxy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10.0)
        loop.close()
