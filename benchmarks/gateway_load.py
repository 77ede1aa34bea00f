"""A client that asks as fast as it is answered, or at a given rate, and takes the time.

Used by `benchmarks/gateway.py`; it costs little itself, and asks every server the same way.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httptools
import numpy as np
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Load", "Measured", "measure"]


@dataclass(frozen=True)
class Load:
    """What is asked.

    Attributes:
        url: Base URL, such as `http://127.0.0.1:8377/v1`.
        connections: Kept open; each has one request at a time.
        seconds: For so long.
        warm_s: Seconds before that, which do not count.
        stream: Whether answers are streamed.
        key: Bearer key.
        rate: Requests per second over all connections, at random times; None for as many as are
            answered.
        texts: How many different questions there are; 0 for a new one every time.
        model: Asked for.
    """

    url: str
    connections: int
    seconds: float = 8.0
    warm_s: float = 2.0
    stream: bool = False
    key: str = "none"
    rate: float | None = None
    texts: int = 64
    model: str = "auto"


@dataclass(frozen=True)
class Measured:
    """What came of it.

    Attributes:
        per_s: Good answers per second.
        p50_ms: Median milliseconds from a request's first byte out to its last byte back.
        p99_ms: Likewise, of the slowest in a hundred.
        failed: Answers that were not 200 or not whole.
    """

    per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


def measure(load: Load) -> Measured:
    """Asks and takes the time."""
    return uvloop.run(_run(load))


async def _run(load: Load) -> Measured:
    place = urlsplit(load.url)
    bodies = _bodies(load)
    loop = asyncio.get_running_loop()
    begin = time.perf_counter() + load.warm_s
    end = begin + load.seconds
    gap = load.connections / load.rate if load.rate else None
    callers = []
    for number in range(load.connections):
        start = loop.time() + (gap or 0.0) * number / load.connections
        caller = _Caller(lambda: next(bodies), end, gap, start)
        await loop.create_connection(lambda c=caller: c, place.hostname, place.port)
        callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))
    taken = np.array([t for c in callers for t in c.taken]).reshape(-1, 3)
    counted = taken[(taken[:, 0] >= begin) & (taken[:, 1] <= end)]
    good = counted[counted[:, 2] == 1]
    if not len(good):
        return Measured(0.0, float("nan"), float("nan"), len(counted))
    ms = (good[:, 1] - good[:, 0]) * 1000
    p50, p99 = np.percentile(ms, [50, 99])
    return Measured(len(good) / load.seconds, float(p50), float(p99), len(counted) - len(good))


def _bodies(load: Load) -> Iterator[bytes]:
    place = urlsplit(load.url)
    number = 0
    while True:
        number += 1
        asked = number % load.texts if load.texts else f"{number} {time.monotonic_ns()}"
        text = f"Question {asked}: what is the sum of its digits, and why is it so?"
        fields: dict[str, Any] = {
            "model": load.model,
            "messages": [
                {"role": "system", "content": "You are a helpful assistant. Answer briefly."},
                {"role": "user", "content": text},
            ],
            "max_tokens": 64,
            "stream": load.stream,
        }
        body = json.dumps(fields).encode()
        head = (
            f"POST {place.path}/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\n"
            f"Authorization: Bearer {load.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


class _Caller(asyncio.Protocol):
    """One connection that asks again as soon as it was answered, or when its time has come."""

    def __init__(
        self, body: Callable[[], bytes], end: float, gap: float | None, start: float
    ) -> None:
        self.body, self.end, self.gap, self.next_at = body, end, gap, start
        self.rng = random.Random(f"{start}")  # noqa: S311  no secret
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.taken: list[tuple[float, float, float]] = []
        self.parser = httptools.HttpResponseParser(self)
        self.tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the first time."""
        self.transport = transport
        self.loop.call_at(self.next_at, self.ask)

    def ask(self) -> None:
        """Sends a request."""
        if time.perf_counter() >= self.end:
            self.finish()
            return
        self.tail = b""
        self.begun = time.perf_counter()
        self.transport.write(self.body())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Parses what came."""
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Keeps the end, which tells whether a stream was whole."""
        self.tail = (self.tail + body)[-64:]

    def on_message_complete(self) -> None:
        """Takes the time, and asks again."""
        good = self.parser.get_status_code() == 200 and self.tail.rstrip().endswith(
            (b"}", b"[DONE]")
        )
        self.taken.append((self.begun, time.perf_counter(), float(good)))
        if not self.parser.should_keep_alive():
            self.finish()
            return
        self.parser = httptools.HttpResponseParser(self)
        if self.gap is None:
            self.ask()
            return
        pause = self.gap * self.rng.uniform(0.5, 1.5)
        self.next_at = max(self.next_at + pause, self.loop.time())
        self.loop.call_at(self.next_at, self.ask)

    def connection_lost(self, _error: Exception | None) -> None:
        """Ends; a request under way has failed."""
        if not self.done.done():
            self.taken.append((self.begun, time.perf_counter(), 0.0))
            self.done.set_result(None)

    def finish(self) -> None:
        """Closes."""
        if not self.done.done():
            self.done.set_result(None)
        self.transport.close()
