"""An OpenAI-compatible endpoint whose answers depend on the question alone, and which keeps count.

    with metered_endpoint() as meter:
        ...  # meter.url; meter.calls says what was asked, when, and whether somebody waited for it

The question decides: one with `fails` in it is answered 400, with `again` 503 the first time, with
`mute` an answer without usage; any other one its digest, in as many tokens as it has words. What
is to be held to a JSON schema is answered 400.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from fusionfactory.clients.chaos import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Asked", "Meter", "metered_endpoint"]


@dataclass
class Asked:
    """One request.

    Attributes:
        model: Who was asked.
        question: The last message.
        key: The `Idempotency-Key`.
        at_s: `time.monotonic` when it came.
        status: Of the answer; None while there is none.
        gone: Whether the caller went away before.
    """

    model: str
    question: str
    key: str | None
    at_s: float
    status: int | None = None
    gone: bool = False


@dataclass
class Meter:
    """The endpoint's state, open to the test.

    Attributes:
        url: Base URL; set while it serves.
        latency_s: Seconds before every answer.
        pace: Calls at a time from which on it answers 429; None for any number.
        said: What it answers; None for the digest.
        bearer: The key that it wants, or it answers 401; None for any.
        calls: What was asked, in the order it came.
        in_flight: Requests under way.
        most_in_flight: Most of them at a time.
    """

    url: str = ""
    latency_s: float = 0.0
    pace: int | None = None
    said: str | None = None
    bearer: str | None = None
    calls: list[Asked] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def wait(self, until: Callable[[Meter], object], within_s: float = 30.0) -> None:
        """Waits until something holds."""
        end = time.monotonic() + within_s
        while not until(self):
            assert time.monotonic() < end, f"not within {within_s:g} s: {len(self.calls)} calls"
            time.sleep(0.005)

    async def answer(self, request: web.Request) -> web.Response:
        """Answers one request."""
        body = json.loads(await request.read())
        question = str(body["messages"][-1]["content"])
        asked = Asked(
            body["model"], question, request.headers.get("Idempotency-Key"), time.monotonic()
        )
        before = sum(call.question == question for call in self.calls)
        self.calls.append(asked)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.pace is not None and self.in_flight > self.pace:
                asked.status = 429
            else:
                await asyncio.sleep(self.latency_s)
                asked.status = self._status(request, body, question, before)
        except asyncio.CancelledError:
            asked.gone = True
            raise
        finally:
            self.in_flight -= 1
        if asked.status != 200:
            error = {"error": {"message": f"no: {question}"}}
            return web.json_response(error, status=asked.status)
        return web.json_response(_completion(question, self.said))

    def _status(
        self, request: web.Request, body: dict[str, object], question: str, before: int
    ) -> int:
        if self.bearer and request.headers.get("Authorization") != f"Bearer {self.bearer}":
            return 401
        if "fails" in question or "response_format" in body:
            return 400
        return 503 if "again" in question and not before else 200


def _completion(question: str, said: str | None) -> dict[str, object]:
    text = said or hashlib.sha256(question.encode()).hexdigest()
    words = len(question.split())
    usage = {"prompt_tokens": 10 * words, "completion_tokens": words}
    message = {"role": "assistant", "content": text}
    return {
        "choices": [{"message": message, "finish_reason": "stop"}],
        "usage": {} if "mute" in question else usage,
    }


@contextmanager
def metered_endpoint() -> Iterator[Meter]:
    """Serves in a thread for as long as the block lasts."""
    meter = Meter()
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", meter.answer)
        async with serve(app) as url:
            meter.url = url
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    try:
        assert started.wait(10.0), "the endpoint did not start"
        yield meter
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10.0)
        loop.close()
