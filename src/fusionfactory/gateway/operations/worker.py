"""A process that answers requests; the supervisor starts it by `python -m` and this name."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from fusionfactory.errors import FusionFactoryError
from fusionfactory.gateway.app import make_app
from fusionfactory.gateway.build import build, close
from fusionfactory.gateway.operations.child import Lifeline
from fusionfactory.gateway.operations.health import Health, routes
from fusionfactory.gateway.operations.listener import BACKLOG
from fusionfactory.gateway.operations.logs import emit, log_to
from fusionfactory.gateway.operations.reload import Reloading
from fusionfactory.gateway.operations.source import Source
from fusionfactory.gateway.operations.store_watch import store_seen
from fusionfactory.gateway.operations.turnstile import Turnstile
from fusionfactory.gateway.shared import identity, is_shared

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Worker", "main"]

_KEEP_ALIVE_S = 75
"""Longer than the minute for which common load balancers keep an idle connection."""
_CONNECTIONS = 4
"""Connections per request that may be under way: most clients keep idle ones open."""
_TICK_S = 1.0
_LAST_WORDS_S = 2.0

_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Leaves signals to the worker."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Worker:
    """Answers on a socket until it is told to end.

    Args:
        source: Of the settings.
        number: Of this worker.
        bound: The listening socket, shared with other workers.
        lifeline: To the supervisor.
    """

    def __init__(
        self, source: Source, number: int, bound: socket.socket, lifeline: Lifeline
    ) -> None:
        self._source, self._number = source, number
        self._bound, self._lifeline = bound, lifeline
        self._health = Health()

    async def run(self) -> None:
        """Builds the gateway, answers, drains and closes.

        Raises:
            FusionFactoryError: The settings or the files they name are wrong.
        """
        stamp = self._source.stamp()
        config = self._source.read()
        settings = config.serve
        gateway = build(config, self._number)
        log_to(gateway.metrics.put, settings.log_level, prompts=settings.log_prompts,
               worker=self._number)  # fmt: skip
        if is_shared(config):
            gateway.metrics.metrics.name_gateway(identity(settings.state))
        app = make_app(gateway)
        app.router.routes[:0] = routes(self._health, gateway.metrics.metrics.render)
        turnstile = Turnstile(app, settings.max_concurrency)
        reloading = Reloading(self._source, app)
        server = _Server(
            uvicorn.Config(
                turnstile,
                loop="uvloop", http="httptools", ws="none", lifespan="off",
                log_config=None, access_log=False, server_header=False, proxy_headers=False,
                backlog=BACKLOG,
                limit_concurrency=_CONNECTIONS * settings.max_concurrency,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=math.ceil(settings.drain_s),
            )
        )  # fmt: skip
        tasks = [
            asyncio.create_task(work)
            for work in (
                reloading.follow(),
                self._tick(turnstile, reloading),
                self._lifeline.cut(),
                self._announce(server),
            )
        ]
        tasks[2].add_done_callback(lambda _: self._drain(server))
        self._listen_to_signals(server, reloading)
        if self._source.stamp() != stamp:
            await reloading.reload()
        await server.serve(sockets=[self._bound])
        await self._end(reloading, tasks)

    def _listen_to_signals(self, server: _Server, reloading: Reloading) -> None:
        loop = asyncio.get_running_loop()
        running: set[asyncio.Task[None]] = set()

        def reload() -> None:
            task = loop.create_task(reloading.reload())
            running.add(task)
            task.add_done_callback(running.discard)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain, server)
        loop.add_signal_handler(signal.SIGHUP, reload)

    def _drain(self, server: _Server) -> None:
        self._health.draining = True
        server.should_exit = True

    async def _announce(self, server: _Server) -> None:
        while not server.started:
            await asyncio.sleep(0.005)
        # What was loaded stays: looking through it at every collection would delay requests.
        gc.collect()
        gc.freeze()
        self._health.started = True
        self._lifeline.ready()

    async def _tick(self, turnstile: Turnstile, reloading: Reloading) -> None:
        """Tells the figures what is so at present."""
        while True:
            metrics, journal = reloading.gateway.metrics.metrics, reloading.gateway.journal
            metrics.under_way.set(turnstile.under_way)
            metrics.log_waiting.set(journal.waiting)
            metrics.log_shed.set(journal.shed)
            metrics.store_seen.set(store_seen(reloading.gateway.settings.state) or 0.0)
            await asyncio.sleep(_TICK_S)

    async def _end(self, reloading: Reloading, tasks: list[asyncio.Task[None]]) -> None:
        gateway = reloading.gateway
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                while (
                    gateway.active
                ):  # cut off at the end of the drain, they still log what they cost
                    await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await close(gateway)
        gateway.metrics.close()


def main() -> None:
    """Runs a worker: `LIFELINE NUMBER SOCKET`, its source in the environment."""
    fd, number, bound = sys.argv[1:]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    log_to(emit, "warning", worker=int(number))
    listening = socket.socket(fileno=int(bound))
    listening.set_inheritable(False)
    worker = Worker(Source.inherited(), int(number), listening, Lifeline(int(fd)))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(worker.run())
    except FusionFactoryError as error:
        _log.critical("%s", error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
