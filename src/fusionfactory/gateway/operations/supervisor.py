"""The process that holds the socket and keeps the others alive; it answers no request itself."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from fusionfactory.errors import FusionFactoryError
from fusionfactory.gateway.operations.child import Child
from fusionfactory.gateway.operations.metrics import forget_worker

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from fusionfactory.config import Config
    from fusionfactory.gateway.operations.source import Source

__all__ = ["Supervisor"]

_LOOK_S = 1.0
"""How often the settings file is looked at."""
_GRACE_S = 5.0
"""What a process gets beyond the time for its requests before it is killed."""

_log = logging.getLogger(__name__)


class Supervisor:
    """Starts the workers and the ingester, and starts again what dies.

    SIGTERM and SIGINT let requests under way end; a second one ends everything at once. SIGHUP, or
    a change of the settings file, puts new settings in force without losing a request; settings
    that are wrong change nothing.

    Args:
        source: Of the settings.
        config: The settings, as read at the start.
        bound: The listening socket.
        ready: Called once everything runs.
    """

    def __init__(
        self, source: Source, config: Config, bound: socket.socket, ready: Callable[[], None]
    ) -> None:
        self._source = source = source.started(config.serve)
        self._bound, self._ready = bound, ready
        self._drain_s = config.serve.drain_s
        metrics = config.serve.state / "metrics"
        _empty(metrics)
        package = "fusionfactory.gateway.operations"
        environment = source.environment()
        self._workers = [
            Child(
                f"worker {number}",
                f"{package}.worker",
                (str(number), str(bound.fileno())),
                environment=environment,
                inherit=(bound.fileno(),),
                died=lambda number=number: forget_worker(metrics, number),  # type: ignore[misc]
            )
            for number in range(config.serve.workers)
        ]
        self._ingester = Child("the ingester", f"{package}.ingester", (), environment=environment)
        self._draining = asyncio.Event()

    async def run(self) -> None:
        """Runs until a signal ends it.

        Raises:
            ConfigError, GatewayError: A process cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        try:
            async with asyncio.TaskGroup() as tasks:
                ingesting = tasks.create_task(self._ingester.keep())
                serving = [tasks.create_task(child.keep()) for child in self._workers]
                telling = tasks.create_task(self._tell())
                watching = tasks.create_task(self._watch())
                await asyncio.wait(serving)
                telling.cancel()
                watching.cancel()
                # What the workers wrote last is still to be taken in, if need be by one that is
                # just being started again.
                await self._ingester.ready(_GRACE_S)
                self._ingester.stop()
                await ingesting
        except* FusionFactoryError as group:
            self._kill()
            raise group.exceptions[0] from None

    def reload(self) -> None:
        """Puts the settings as they are now in force, if they are good."""
        try:
            self._source.read()
        except FusionFactoryError as error:
            _log.error("the settings are wrong, so the old ones stay: %s", error)
            return
        _log.info("reloading the settings")
        for child in (*self._workers, self._ingester):
            child.reload()

    def _stop(self) -> None:
        if self._draining.is_set():
            self._kill()
            return
        self._draining.set()
        _log.info("draining")
        self._bound.close()
        for child in self._workers:
            child.stop()
        asyncio.get_running_loop().call_later(self._drain_s + _GRACE_S, self._kill)

    def _kill(self) -> None:
        for child in (*self._workers, self._ingester):
            child.stop(signal.SIGKILL)

    async def _tell(self) -> None:
        for child in (*self._workers, self._ingester):
            await child.started.wait()
        self._ready()

    async def _watch(self) -> None:
        """Reloads after a change of the file, once it has not changed for a moment more."""
        known = latest = self._source.stamp()
        while True:
            await asyncio.sleep(_LOOK_S)
            stamp = self._source.stamp()
            if stamp != known and stamp == latest:
                known = stamp
                self.reload()
            latest = stamp


def _empty(folder: Path) -> None:
    """Figures begin at zero with the gateway, not with one of its workers."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.db"):
        path.unlink()
