"""A model in a GGUF file, served by llama.cpp in a process of its own (extra `local`)."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from fusionfactory.errors import ConfigError, MissingExtraError
from fusionfactory.gateway.upstream.failure import Failure

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LlamaServer"]

_CHECK_EVERY_S = 10.0
_HEALTHY_WITHIN_S = 5.0
_END_S = 5.0


class _Running(NamedTuple):
    process: asyncio.subprocess.Process
    url: str


class LlamaServer:
    """Starts the process on first use, again where it has ended or says nothing, and ends it.

    Args:
        path: The `.gguf` file.
        context_tokens: Longest prompt and answer together.
        threads: CPU threads.
        embeds: Whether it serves embeddings, and no answers.

    Raises:
        ConfigError: There is no such model file.
        MissingExtraError: The extra `local` is not installed.
    """

    def __init__(
        self, path: Path, *, context_tokens: int, threads: int, embeds: bool = False
    ) -> None:
        if find_spec("xllamacpp") is None:
            what = f"The local model {path.name}"
            raise MissingExtraError(what, "local")
        if not path.is_file():
            msg = "no such model file"
            raise ConfigError(msg, file=path, field="gguf")
        self.path = path
        self._facts = {
            "path": str(path),
            "context_tokens": context_tokens,
            "threads": threads,
            "embeds": embeds,
        }
        self._key = secrets.token_urlsafe(32)
        self._starting: asyncio.Task[_Running] | None = None
        self._checked = 0.0

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        task = self._starting
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        process = task.result().process
        return process.pid if process.returncode is None else None

    async def ready(self) -> tuple[str, str]:
        """The base URL and the key of a server that runs; starts it where none does.

        Raises:
            Failure: It does not start.
        """
        if self._starting is not None and self._starting.done():
            await self._check(self._starting)
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start())
        # Who gives up waiting does not stop the start: the next one finds it done.
        running = await asyncio.shield(self._starting)
        return running.url, self._key

    async def close(self) -> None:
        """Ends the process."""
        task, self._starting = self._starting, None
        if task is None:
            return
        task.cancel()
        (running,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(running, _Running):
            await _end(running.process)

    async def _check(self, started: asyncio.Task[_Running]) -> None:
        """Forgets a server that did not start, has ended or is mute."""
        if started.cancelled() or started.exception() is not None:
            self._starting = None
            return
        running = started.result()
        if running.process.returncode is not None:
            self._starting = None
        elif time.monotonic() - self._checked > _CHECK_EVERY_S:
            if await _is_healthy(running.url):
                self._checked = time.monotonic()
            else:
                self._starting = None
                await _end(running.process)

    async def _start(self) -> _Running:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fusionfactory.gateway.upstream.llama_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        started = False
        try:
            assert process.stdin is not None  # noqa: S101  asked for above
            assert process.stdout is not None  # noqa: S101  likewise
            process.stdin.write(json.dumps({**self._facts, "key": self._key}).encode() + b"\n")
            line = await process.stdout.readline()
            said = json.loads(line) if line else {"error": "its process ended at once"}
            if "url" not in said:
                msg = f"the model file {self.path.name} cannot be served: {said['error']}"
                raise Failure(msg, told=503, cost_usd=0.0)
            started = True
        finally:
            if not started:
                await _end(process)
        self._checked = time.monotonic()
        return _Running(process, said["url"])


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()
    if process.stdin is not None:
        process.stdin.close()


async def _is_healthy(url: str) -> bool:
    """Whether `/health` answers 200 soon."""
    place = urlsplit(url)
    try:
        async with asyncio.timeout(_HEALTHY_WITHIN_S):
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            try:
                writer.write(b"GET /health HTTP/1.0\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (TimeoutError, OSError):
        return False
