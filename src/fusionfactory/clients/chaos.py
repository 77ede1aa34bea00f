"""An OpenAI-compatible endpoint that misbehaves by a seed, to try clients and collectors on.

    python -m fusionfactory.clients.chaos --seed 7 --faults 0.4 --fatal 0.1 --log requests.jsonl

prints `{"url": "http://127.0.0.1:PORT/v1"}` and serves until it is stopped. What a request meets
depends on nothing but the seed, its model and messages, and how often it was asked before.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from fusionfactory.clients.base import Message

__all__ = ["FATAL", "TRANSIENT", "Chaos", "make_app", "request_key", "serve"]

TRANSIENT = ("429", "500", "hang", "reset", "malformed", "html")
"""Faults that a request meets first: too many requests, an error, silence, a cut, no JSON, HTML."""

FATAL = ("500", "malformed", "empty", "400")
"""Faults that a request meets every time."""

_WORDS = (
    "amber",
    "birch",
    "cedar",
    "dune",
    "ember",
    "fjord",
    "grove",
    "heath",
    "île",
    "джаз",
    "水",
)


@dataclass(frozen=True, slots=True)
class Chaos:
    """What goes wrong, and how often.

    Attributes:
        seed: Of everything.
        faults: Share of the requests that meet transient faults before they succeed.
        fatal: Share of the requests that never succeed.
        most_faults: Transient faults in a row at most; a client with as many retries gets through.
        latency_s: Seconds before a good answer.
        hang_s: Seconds of silence; longer than the client's timeout.
        retry_after_s: What a 429 asks for.
        models: What `/v1/models` lists.
    """

    seed: int = 0
    faults: float = 0.4
    fatal: float = 0.1
    most_faults: int = 3
    latency_s: float = 0.0
    hang_s: float = 3600.0
    retry_after_s: float = 0.05
    models: Sequence[str] = ("chaos-small", "chaos-large")

    def behaviour(self, key: str, attempt: int) -> str:
        """What the attempt (from 1) of a request meets: `ok`, or one of `TRANSIENT` or `FATAL`."""
        first, second, *rest = self._digest(key)
        if first < self.fatal:
            return FATAL[int(second * len(FATAL))]
        if first < self.fatal + self.faults and attempt <= 1 + int(second * self.most_faults):
            return TRANSIENT[int(rest[attempt % len(rest)] * len(TRANSIENT))]
        return "ok"

    def answer(self, key: str, model: str) -> dict[str, Any]:
        """The chat completion of a request."""
        parts = self._digest(key)
        text = " ".join(_WORDS[int(part * len(_WORDS))] for part in parts)
        return self._completion(key, model, text)

    def empty(self, key: str, model: str) -> dict[str, Any]:
        """A chat completion that was paid for and says nothing."""
        return self._completion(key, model, "")

    def _completion(self, key: str, model: str, text: str) -> dict[str, Any]:
        sent, received = (1 + int(part * 500) for part in self._digest(key)[-2:])
        message = {"role": "assistant", "content": text}
        return {
            "id": f"chatcmpl-{key[:24]}",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [
                {"index": 0, "message": message, "finish_reason": "stop" if text else "length"}
            ],
            "usage": {
                "prompt_tokens": sent,
                "completion_tokens": received,
                "total_tokens": sent + received,
            },
        }

    def _digest(self, key: str) -> list[float]:
        """Eight numbers in [0, 1) that hang on seed and key."""
        digest = hashlib.sha256(f"{self.seed}:{key}".encode()).digest()
        return [int.from_bytes(digest[i : i + 4], "big") / 2**32 for i in range(0, 32, 4)]


def request_key(model: str, messages: Sequence[Message]) -> str:
    """SHA-256 of what a request asks, in hexadecimal."""
    return hashlib.sha256(json.dumps([model, messages], sort_keys=True).encode()).hexdigest()


def make_app(chaos: Chaos, log: TextIO | None = None) -> web.Application:
    """The endpoint as an application of aiohttp.

    Args:
        chaos: What goes wrong.
        log: Gets a JSON line per chat request: `key`, `attempt`, `behaviour` and `complete`, which
            is whether the whole body of a 200 was written. Faults are logged before they happen.
    """
    return _Endpoint(chaos, log).app()


class _Endpoint:
    """Counts the attempts of each request and logs them."""

    def __init__(self, chaos: Chaos, log: TextIO | None) -> None:
        self._chaos, self._log = chaos, log
        self._attempts: Counter[str] = Counter()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        return app

    async def _models(self, _request: web.Request) -> web.Response:
        data = [
            {"id": model, "object": "model", "created": 0, "owned_by": "chaos"}
            for model in self._chaos.models
        ]
        return web.json_response({"object": "list", "data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            fields = json.loads(await request.read())
            model, messages = str(fields["model"]), list(fields["messages"])
        except (ValueError, KeyError, TypeError):
            return _refusal(400, "expected a JSON object with model and messages")
        if fields.get("stream"):
            return _refusal(400, "this endpoint does not stream")
        key = request_key(model, messages)
        self._attempts[key] += 1
        attempt = self._attempts[key]
        behaviour = self._chaos.behaviour(key, attempt)
        if behaviour not in {"ok", "empty"}:
            self._note(key, attempt, behaviour, complete=False)
            return await self._misbehave(request, behaviour, self._chaos.answer(key, model))
        complete = False
        try:
            await asyncio.sleep(self._chaos.latency_s)
            make = self._chaos.answer if behaviour == "ok" else self._chaos.empty
            response = web.json_response(make(key, model))
            await response.prepare(request)
            await response.write_eof()
            complete = True
        finally:
            self._note(key, attempt, behaviour, complete=complete)
        return response

    def _note(self, key: str, attempt: int, behaviour: str, *, complete: bool) -> None:
        if self._log is not None:
            line = {"key": key, "attempt": attempt, "behaviour": behaviour, "complete": complete}
            self._log.write(json.dumps(line) + "\n")
            self._log.flush()

    async def _misbehave(
        self, request: web.Request, behaviour: str, answer: dict[str, Any]
    ) -> web.StreamResponse:
        body = json.dumps(answer).encode()
        if behaviour == "hang":
            await asyncio.sleep(self._chaos.hang_s)
            return _refusal(500, "nobody waits for this")
        if behaviour == "reset":
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            response.content_length = len(body)
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
            if request.transport is not None:
                request.transport.abort()
            return response
        if behaviour == "malformed":
            return web.Response(body=body[: len(body) // 2], content_type="application/json")
        if behaviour == "html":
            return web.Response(text="<html>a gateway's page</html>", content_type="text/html")
        wait = {"Retry-After": f"{self._chaos.retry_after_s:g}"} if behaviour == "429" else {}
        said = {"429": "slow down", "400": "this can never be answered"}.get(behaviour, "it broke")
        return _refusal(int(behaviour), said, wait)


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    error = {"message": message, "type": "chaos", "param": None, "code": None}
    return web.json_response({"error": error}, status=status, headers=headers)


@asynccontextmanager
async def serve(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """Serves an application on loopback for as long as the block lasts.

    Args:
        app: What to serve.
        port: Where; 0 takes a free port.

    Yields:
        The base URL, for example `http://127.0.0.1:49152/v1`.
    """
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def _run(chaos: Chaos, port: int, log: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        file = stack.enter_context(log.open("a", encoding="utf-8")) if log else None
        url = await stack.enter_async_context(serve(make_app(chaos, file), port))
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
        await stop.wait()


def _main() -> None:
    chaos = Chaos()
    parser = argparse.ArgumentParser(prog="python -m fusionfactory.clients.chaos")
    parser.add_argument("--seed", type=int, default=chaos.seed)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--faults", type=float, default=chaos.faults, metavar="SHARE")
    parser.add_argument("--fatal", type=float, default=chaos.fatal, metavar="SHARE")
    parser.add_argument("--most-faults", type=int, default=chaos.most_faults)
    parser.add_argument("--latency", type=float, default=chaos.latency_s, metavar="SECONDS")
    parser.add_argument("--retry-after", type=float, default=chaos.retry_after_s, metavar="SECONDS")
    parser.add_argument("--log", type=Path, metavar="FILE", help="gets a JSON line per request")
    options = parser.parse_args()
    chaos = Chaos(
        seed=options.seed,
        faults=options.faults,
        fatal=options.fatal,
        most_faults=options.most_faults,
        latency_s=options.latency,
        retry_after_s=options.retry_after,
    )
    asyncio.run(_run(chaos, options.port, options.log))


if __name__ == "__main__":
    _main()
