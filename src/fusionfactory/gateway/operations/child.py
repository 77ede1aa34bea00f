"""A process of the gateway that is started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["READY", "Child", "Lifeline"]

READY = b"ready"
"""What a process says once it does its work."""

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
_STEADY_S = 30.0
"""A process that lived so long is started again at once."""
_START_S = 120.0
_USED_WRONGLY = 2

_log = logging.getLogger(__name__)


class Child:
    """One process, through all its lives.

    Args:
        name: For messages: `worker 0`.
        module: What it runs.
        arguments: Of its command line, after the file descriptor of its lifeline.
        environment: Variables that it gets besides those of this process.
        inherit: File descriptors that it gets as they are.
        died: Called after each death, before the next life.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        inherit: Sequence[int] = (),
        died: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._module, self._arguments, self._inherit = module, arguments, inherit
        self._environment, self._died = dict(environment or {}), died
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._ready = asyncio.Event()
        self.started = asyncio.Event()
        """Set once it has been ready for the first time."""

    @property
    def pid(self) -> int | None:
        """Of the present life; None between two."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def keep(self) -> None:
        """Keeps the process alive until `stop`.

        Raises:
            GatewayError: It never got ready: what it wrote to standard error says why.
            ConfigError: Likewise, for wrong settings.
        """
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun = asyncio.get_running_loop().time()
            code, ready = await self._live()
            self._died()
            if self._stopping.is_set():
                return
            if not self.started.is_set():
                raise _cannot_start(self.name, code)
            lived_s = asyncio.get_running_loop().time() - begun
            pause_s = _FIRST_PAUSE_S if ready and lived_s > _STEADY_S else pause_s
            facts = {"code": code, "lived_s": round(lived_s, 3), "again_in_s": pause_s}
            _log.error("%s died", self.name, extra={"facts": facts})
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def reload(self) -> None:
        """Lets the process read its settings again; one that is just starting does so by itself."""
        if self._ready.is_set():
            self._signal(signal.SIGHUP)

    async def ready(self, within_s: float) -> bool:
        """Waits so long at most until it does its work; says whether it does."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), within_s)
        return self._ready.is_set()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Lets the process end, and starts it no more."""
        self._stopping.set()
        self._signal(number)

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None and self._process is not None:
            self._process.send_signal(number)

    async def _live(self) -> tuple[int, bool]:
        """One life: its exit code, and whether it got ready."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours:
            with theirs:
                command = (sys.executable, "-m", self._module, str(theirs.fileno()))
                self._process = process = await asyncio.create_subprocess_exec(
                    *command,
                    *self._arguments,
                    pass_fds=(theirs.fileno(), *self._inherit),
                    process_group=0,
                    env={"OMP_NUM_THREADS": "1"} | dict(os.environ) | self._environment,
                )
            if self._stopping.is_set():
                process.terminate()
            loop = asyncio.get_running_loop()
            try:
                said = await asyncio.wait_for(loop.sock_recv(ours, len(READY)), _START_S)
            except TimeoutError:
                _log.error("%s was not ready within %g s", self.name, _START_S)
                process.kill()
                said = b""
            except OSError:
                said = b""
            if said == READY:
                self._ready.set()
                self.started.set()
                _log.info("%s is ready", self.name, extra={"facts": {"process": process.pid}})
            code = await process.wait()
            self._ready.clear()
            return code, said == READY

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


class Lifeline:
    """The other end, in the process itself: says that it is ready, and sees the supervisor die.

    Args:
        fd: The file descriptor from the command line.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)

    def ready(self) -> None:
        """Tells the supervisor."""
        self._socket.send(READY)

    def is_cut(self, within_s: float) -> bool:
        """Waits so long, or until the supervisor is gone; says whether it is."""
        return bool(select.select([self._socket], [], [], within_s)[0])

    async def cut(self) -> None:
        """Returns once the supervisor is gone, whatever ended it."""
        try:
            await asyncio.get_running_loop().sock_recv(self._socket, 1)
        except OSError:
            return


def _cannot_start(name: str, code: int) -> ConfigError | GatewayError:
    if code == _USED_WRONGLY:
        return ConfigError(f"{name} cannot start with these settings: see above")
    return GatewayError(f"{name} cannot start (exit code {code}): see above")
