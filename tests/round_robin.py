"""Clients that take one gateway after the other, as behind a plain round-robin proxy."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway_process import Reply, Serving

__all__ = ["Answered", "RoundRobin"]

_PATH = "/v1/chat/completions"
_ANOTHER_HOST = {429, 502, 503, 504}
"""Statuses that a proxy takes for this host's trouble."""


@dataclass(frozen=True)
class Answered:
    """A request and what came of it.

    Attributes:
        reply: The last host's; None where that gave none.
        host: Its number.
        tried: What the hosts before it said.
        took_s: Seconds, all hosts together.
    """

    reply: Reply | None
    host: int
    tried: tuple[str, ...]
    took_s: float


@dataclass
class RoundRobin:
    """Asks from several threads until the block ends, every request at the next host.

    What a host does not answer, or answers with 429, 502, 503 or 504, goes to the next one, to each
    of them once.

    Attributes:
        hosts: The gateways; one that is replaced in the list is asked from then on.
        headers: Of every request.
        threads: That ask.
        pause_s: Of each, between two requests.
        answered: What came of every request, in order.
    """

    hosts: list[Serving]
    headers: dict[str, str] = field(default_factory=dict)
    threads: int = 3
    pause_s: float = 0.02
    answered: list[Answered] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> RoundRobin:
        self._running = [
            threading.Thread(target=self._go_on, args=(number,)) for number in range(self.threads)
        ]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._running:
            thread.join(120)

    @property
    def good(self) -> list[Answered]:
        """Those with an answer."""
        return [one for one in self.answered if one.reply is not None and one.reply.status == 200]

    @property
    def bad(self) -> list[Answered]:
        """Those without: every host was asked, or one refused for good."""
        return [one for one in self.answered if one.reply is None or one.reply.status != 200]

    def ids(self) -> set[str]:
        """Of the requests that were answered."""
        return {one.reply.headers["x-request-id"] for one in self.good if one.reply is not None}

    def wait_for(self, more: int, within_s: float = 60.0) -> None:
        """Waits until so many more are answered."""
        wanted = len(self.good) + more
        self.wait(lambda: len(self.good) >= wanted, within_s)

    def wait(self, until: Callable[[], object], within_s: float = 60.0) -> None:
        """Waits until something holds."""
        end = time.monotonic() + within_s
        while not until():
            assert time.monotonic() < end, f"not within {within_s:g} s: {self.answered[-5:]}"
            time.sleep(0.02)

    def ask(self, text: str, first: int = 0) -> Answered:
        """One request, at this host first."""
        began, tried = time.monotonic(), []
        for turn in range(len(self.hosts)):
            host = (first + turn) % len(self.hosts)
            reply: Reply | None = None
            try:
                reply = self.hosts[host].ask("POST", _PATH, _body(text), **self.headers)
            except (OSError, HTTPException) as error:
                tried.append(f"host {host}: {type(error).__name__}: {error}")
                continue
            if reply.status not in _ANOTHER_HOST:
                break
            tried.append(f"host {host}: {reply.status}: {reply.body[:200]!r}")
        return Answered(reply, host, tuple(tried), time.monotonic() - began)

    def _go_on(self, number: int) -> None:
        count = 0
        while not self._over.is_set():
            count += 1
            self.answered.append(self.ask(f"question {count} of {number}", number + count))
            self._over.wait(self.pause_s)


def _body(text: str) -> dict[str, object]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}]}
