"""The real `fusionfactory serve` as a process, and a client that goes on asking it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from fusionfactory.routers import make_router, save_router
from fusionfactory.testing import make_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "ARMS",
    "Reply",
    "Serving",
    "Traffic",
    "children",
    "router_that_prefers",
    "serving",
    "settings",
]

_START_S = 150.0
ARMS = ("arm-0", "arm-1", "arm-2")


def settings(url: str, more: str = "", *, workers: int = 2) -> str:
    """A settings file for the arms of `make_table` at a stub."""
    models = "".join(
        f'[[models]]\nname = "{arm}"\nendpoint = "stub"\ninput_price = 1.0\noutput_price = 2.0\n'
        for arm in ARMS
    )
    return (
        'store = "log.db"\n'
        f'[[endpoints]]\nname = "stub"\nbase_url = "{url}"\napi_key_env = ""\n{models}'
        f"[serve]\nport = 0\nworkers = {workers}\ndrain_s = 10.0\n{more}"
    )


def router_that_prefers(arm: str, folder: Path) -> Path:
    """A saved router that takes one arm to be right always, and the others never."""
    table = make_table(60)
    quality = np.tile(np.asarray([name == arm for name in table.arm_names], dtype=float), (60, 1))
    save_router(make_router("elo").fit(replace(table, quality=quality)), folder)
    return folder


def children(pid: int) -> list[int]:
    """Ids of the processes that a process started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in found.split()]


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  whatever came
        return json.loads(self.body)


@dataclass
class Serving:
    """A gateway that runs.

    Attributes:
        process: The supervisor.
        url: From the line that it printed.
        line: That line.
        log: Lines of the structured log so far, parsed.
    """

    process: subprocess.Popen[str]
    folder: Path
    line: str = ""
    url: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """One request on a connection of its own; the path is that after the host."""
        connection = HTTPConnection(str(urlsplit(self.url).netloc), timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(
                method, path, content, {"content-type": "application/json", **headers}
            )
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def chat(self, text: str = "What is 7 * 8?", **body: object) -> Reply:
        """Asks `auto`."""
        asked = {"model": "auto", "messages": [{"role": "user", "content": text}], **body}
        return self.ask("POST", "/v1/chat/completions", asked)

    def workers(self, least: int = 1) -> list[int]:
        """Process ids of the workers that got ready, by the log, when there are so many."""

        def ready() -> list[int]:
            return [
                int(line["process"])
                for line in list(self.log)
                if line["event"].startswith("worker") and line["event"].endswith("is ready")
            ]

        self.wait(lambda _: len(ready()) >= least)
        return ready()

    def events(self, starting: str) -> list[dict[str, Any]]:
        """Lines whose event starts like this."""
        return [line for line in list(self.log) if line["event"].startswith(starting)]

    def wait(self, until: Callable[[Serving], object], within_s: float = 20.0) -> None:
        """Waits until something holds."""
        end = time.monotonic() + within_s
        while not until(self):
            assert time.monotonic() < end, f"not within {within_s:g} s: {self.log[-10:]}"
            time.sleep(0.02)

    def end(self, number: signal.Signals = signal.SIGTERM, within_s: float = 30.0) -> int:
        """Sends a signal and waits for the end."""
        self.process.send_signal(number)
        return self.process.wait(within_s)


@contextmanager
def serving(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[Serving]:
    """Starts the gateway in a folder that holds its settings, and ends it whatever happens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fusionfactory", "serve", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
    )  # fmt: skip
    found = Serving(process, folder)
    first: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read_log() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            try:
                found.log.append(json.loads(line))
            except ValueError:
                found.log.append({"event": line.rstrip()})

    def read_first() -> None:
        assert process.stdout is not None
        first.put(process.stdout.readline())

    threads = [threading.Thread(target=work, daemon=True) for work in (read_log, read_first)]
    for thread in threads:
        thread.start()
    try:
        found.line = first.get(timeout=_START_S)
        assert found.line, f"it did not start: {found.log}"
        found.url = found.line.split()[0]
        yield found
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        threads[0].join(10)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@dataclass
class Traffic:
    """Asks from several threads until the block ends, every question another one.

    Attributes:
        good: Answers, by the arm that gave them, in order.
        bad: What was no answer: the status and body, or the error of the connection.
    """

    gateway: Serving
    threads: int = 4
    good: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        self._running = [
            threading.Thread(target=self._ask, args=(number,)) for number in range(self.threads)
        ]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._running:
            thread.join(60)

    def _ask(self, number: int) -> None:
        count = 0
        while not self._over.is_set():
            count += 1
            try:
                reply = self.gateway.chat(f"question {count} of {number}")
            except (OSError, HTTPException) as error:
                self.bad.append(f"{type(error).__name__}: {error}")
                continue
            if reply.status == 200:
                self.good.append(reply.headers["x-fusionfactory-arm"])
                self.asked.append(reply.headers["x-request-id"])
            else:
                self.bad.append(f"{reply.status}: {reply.body!r}")
