"""An OpenAI-compatible endpoint that misbehaves by a seed, to try clients and collectors on.

    python -m fusionfactory.clients.chaos --seed 7 --faults 0.4 --fatal 0.1 --log requests.jsonl

prints `{"url": "http://127.0.0.1:PORT/v1"}` and serves until it is stopped. What a request meets
depends on nothing but the seed, its model and messages, and how often it was asked before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from aiohttp import web

from fusionfactory.clients.chaos_plan import FATAL, LATE, TRANSIENT, Chaos, request_key
from fusionfactory.clients.chaos_stream import Progress, send_malformed, send_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["FATAL", "LATE", "TRANSIENT", "Chaos", "make_app", "request_key", "serve"]


def make_app(chaos: Chaos, log: TextIO | None = None) -> web.Application:
    """The endpoint as an application of aiohttp.

    Args:
        chaos: What goes wrong.
        log: Gets a JSON line per chat request: `key`, `attempt`, `behaviour` and `complete`, which
            is whether the whole body of a 200 was written; with prices also `model`, `stream`,
            `usage` and `cost_usd`. Faults are logged before they happen, but for those of a stream
            that has begun.
    """
    return _Endpoint(chaos, log).app()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A chat request, and how often it was made."""

    key: str
    model: str
    attempt: int
    fields: Mapping[str, Any]

    @property
    def stream(self) -> bool:
        return bool(self.fields.get("stream"))

    @property
    def wants_usage(self) -> bool:
        return bool((self.fields.get("stream_options") or {}).get("include_usage"))


class _Endpoint:
    """Counts the attempts of each request and logs them."""

    def __init__(self, chaos: Chaos, log: TextIO | None) -> None:
        self._chaos, self._log = chaos, log
        self._attempts: Counter[str] = Counter()
        self._streamed: set[str] = set()

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
        if fields.get("stream") and not self._chaos.streams:
            return _refusal(400, "this endpoint does not stream")
        key = request_key(model, messages)
        self._attempts[key] += 1
        asked = _Asked(key, model, self._attempts[key], fields)
        behaviour = self._chaos.behaviour(key, asked.attempt)
        make = self._chaos.empty if behaviour == "empty" else self._chaos.answer
        answer, progress = make(key, model), Progress()
        if behaviour not in {"ok", "empty"}:
            self._note(asked, behaviour, answer, progress)
            return await self._misbehave(request, behaviour, answer, stream=asked.stream)
        late = None
        if asked.stream and key not in self._streamed:
            self._streamed.add(key)
            late = self._chaos.late_behaviour(key)
        try:
            await asyncio.sleep(self._chaos.latency_s)
            if asked.stream:
                return await send_stream(
                    request,
                    answer,
                    late,
                    progress,
                    reports_usage=asked.wants_usage,
                    drip_s=self._chaos.drip_s,
                    hang_s=self._chaos.hang_s,
                )
            response = web.json_response(answer)
            await response.prepare(request)
            await response.write_eof()
            progress.complete = True
        finally:
            self._note(asked, late or behaviour, answer, progress)
        return response

    def _note(
        self, asked: _Asked, behaviour: str, answer: dict[str, Any], progress: Progress
    ) -> None:
        if self._log is None:
            return
        line = {
            "key": asked.key,
            "attempt": asked.attempt,
            "behaviour": behaviour,
            "complete": progress.complete,
        }
        if self._chaos.prices is not None:
            line |= {
                "model": asked.model,
                "stream": asked.stream,
                "usage": answer["usage"],
                "cost_usd": self._chaos.cost_usd(answer, progress),
            }
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()

    async def _misbehave(
        self, request: web.Request, behaviour: str, answer: dict[str, Any], *, stream: bool
    ) -> web.StreamResponse:
        body = json.dumps(answer).encode()
        if behaviour == "hang":
            await asyncio.sleep(self._chaos.hang_s)
            return _refusal(500, "nobody waits for this")
        if behaviour == "reset":
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            response.content_length = len(body)
            if not stream:
                await response.prepare(request)
                await response.write(body[: len(body) // 2])
            if request.transport is not None:
                request.transport.abort()
            return response
        if behaviour == "malformed" and stream:
            return await send_malformed(request, answer)
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
    parser.add_argument("--streams", action="store_true", help="serves streams, too")
    parser.add_argument(
        "--late",
        type=float,
        default=chaos.late,
        metavar="SHARE",
        help="of streams that go wrong after their first word",
    )
    parser.add_argument("--drip", type=float, default=chaos.drip_s, metavar="SECONDS")
    parser.add_argument("--hang", type=float, default=chaos.hang_s, metavar="SECONDS")
    parser.add_argument(
        "--prices",
        type=float,
        nargs=2,
        metavar="USD",
        help="per million input and output tokens, for costs in the log",
    )
    parser.add_argument("--models", nargs="+", default=chaos.models, metavar="NAME")
    parser.add_argument("--log", type=Path, metavar="FILE", help="gets a JSON line per request")
    options = parser.parse_args()
    chaos = Chaos(
        seed=options.seed,
        faults=options.faults,
        fatal=options.fatal,
        most_faults=options.most_faults,
        latency_s=options.latency,
        retry_after_s=options.retry_after,
        hang_s=options.hang,
        models=options.models,
        streams=options.streams,
        late=options.late,
        drip_s=options.drip,
        prices=options.prices and tuple(options.prices),
    )
    asyncio.run(_run(chaos, options.port, options.log))


if __name__ == "__main__":
    _main()
