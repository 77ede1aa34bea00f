"""An OpenAI-compatible endpoint on a real socket, in a thread, for the tests of the gateway.

    with stub_upstream(small=Knobs(), large=Knobs(fault="500", faulty_calls=1)) as stub:
        ...  # stub.url ends in /v1; stub.ledger says what was served, and for how much

A model that has no knobs answers as `Knobs()` does. What is asked for is what comes: a stream with
or without usage, `n` choices, log probabilities, a call of every tool that is offered. Without
tools the answer is `<model> says: <last user text>`, a token a word.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from aiohttp import web

from fusionfactory.clients.chaos import serve
from stub_reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Fault", "Knobs", "Served", "StubUpstream", "stub_upstream"]

Fault: TypeAlias = Literal[
    "400", "401", "404", "408", "409", "422", "429", "500", "503",
    "quota", "echo", "hang", "reset", "html", "malformed", "empty", "error", "no_choices",
    "cut", "stall", "late_error", "late_malformed", "unended", "endless",
]  # fmt: skip
"""A status, a spent quota, a 400 that repeats the key; or before the first byte of an answer:
silence, a broken connection, a page, no JSON, nothing at all, an error in a 200, JSON without
choices (of streams: `[DONE]` alone); or, after the first words of a stream: a broken connection,
silence, an error event, no JSON, an end without `[DONE]`, no end at all. `cut` breaks other answers
too; the rest of these leaves them whole."""

_PROMPT_PRICE, _ANSWER_PRICE = 1.0, 2.0
_MOST_CHOICES, _MOST_DIMENSIONS = 128, 4096
_REFUSALS = {"quota": (429, "insufficient_quota"), "echo": (400, "stub")}
_PAID = {"cut", "stall", "late_error", "late_malformed", "unended", "endless"}


@dataclass
class Knobs:
    """How a model behaves; may be changed while it serves.

    Attributes:
        text: What it answers; None for `<model> says: <last user text>`.
        latency_s: Seconds before the first byte.
        chunk_s: Seconds between two pieces of a stream: a slow drip.
        fault: What its calls meet; None for good answers.
        faulty_calls: How many of its first calls meet the fault; None for all.
        headers: Further headers of every answer, such as `retry-after`.
        usage: Where a stream that is asked for usage carries it: in a chunk of its own without
            choices, on the last chunk that has choices, or nowhere (nor does a plain answer then).
        raw: What a stream, or a plain answer, is made of, word for word.
        calls_tools: Whether it calls the tools that it is offered.
        input_price: USD per million tokens of prompts.
        output_price: USD per million tokens of answers.
    """

    text: str | None = None
    latency_s: float = 0.0
    chunk_s: float = 0.0
    fault: Fault | None = None
    faulty_calls: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    usage: Literal["chunk", "last", "never"] = "chunk"
    raw: list[str] | None = None
    calls_tools: bool = True
    input_price: float = _PROMPT_PRICE
    output_price: float = _ANSWER_PRICE


@dataclass
class Served:
    """A request as it came and what became of it.

    Attributes:
        path: Without `/v1/`.
        model: As it was asked for.
        body: The request.
        headers: Of the request, names in lower case.
        peer: Port of the caller's end: one per connection.
        fault: What it met.
        status: Of the answer.
        input_tokens: Of the prompt.
        output_tokens: Of what was sent.
        prices: USD per million tokens of prompts and answers.
        complete: Whether all of a good answer was sent, or is but for its end.
        gone: Whether the caller went away before the end.
        ended: Whether it is over.
    """

    path: str
    model: str
    body: dict[str, Any]
    headers: dict[str, str]
    peer: int
    fault: Fault | None = None
    status: int = 200
    input_tokens: int = 0
    output_tokens: int = 0
    prices: tuple[float, float] = (0.0, 0.0)
    complete: bool = False
    gone: bool = False
    ended: bool = False

    @property
    def cost_usd(self) -> float:
        """What the caller pays: nothing for errors, a broken stream for what it sent."""
        of_input, of_output = self.prices
        return (self.input_tokens * of_input + self.output_tokens * of_output) / 1e6


class StubUpstream:
    """The endpoint's state, open to the test.

    Attributes:
        url: Base URL, ending in `/v1`; set while it serves.
        models: Name to knobs.
        key: The Bearer key that is expected; None for any.
        ledger: What was served, in the order it came.
    """

    def __init__(self, models: dict[str, Knobs], *, key: str | None = None) -> None:
        self.url = ""
        self.models = models
        self.key = key
        self.ledger: list[Served] = []

    @property
    def cost_usd(self) -> float:
        """What all calls cost."""
        return sum(served.cost_usd for served in self.ledger)

    @property
    def connections(self) -> int:
        """Connections over which requests came."""
        return len({served.peer for served in self.ledger})

    def asked(self) -> list[str]:
        """The models asked for, in order."""
        return [served.model for served in self.ledger]

    def wait(self, until: Callable[[StubUpstream], object], within_s: float = 10.0) -> None:
        """Waits until something holds, such as `lambda stub: stub.ledger[0].gone`."""
        end = time.monotonic() + within_s
        while not until(self):
            assert time.monotonic() < end, f"not within {within_s:g} s: {self.ledger}"
            time.sleep(0.002)

    def app(self) -> web.Application:
        """As an application of aiohttp."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_get("/v1/models", self._list)
        for path, answer in (
            ("chat/completions", self._chat),
            ("completions", self._chat),
            ("embeddings", self._embed),
        ):
            app.router.add_post(f"/v1/{path}", self._handler(path, answer))
        return app

    async def _list(self, _request: web.Request) -> web.Response:
        data = [
            {"id": name, "object": "model", "created": 0, "owned_by": "stub"}
            for name in self.models
        ]
        return web.json_response({"object": "list", "data": data})

    def _handler(self, path: str, answer: Any) -> Any:  # noqa: ANN401  aiohttp's handlers
        async def handle(request: web.Request) -> web.StreamResponse:
            body = json.loads(await request.read())
            headers = {name.lower(): value for name, value in request.headers.items()}
            assert request.transport is not None
            peer = request.transport.get_extra_info("peername")[1]
            served = Served(path, str(body.get("model")), body, headers, peer)
            calls = self.asked().count(served.model)
            self.ledger.append(served)
            knobs = self.models.get(served.model) or Knobs()
            served.prices = knobs.input_price, knobs.output_price
            if knobs.faulty_calls is None or calls < knobs.faulty_calls:
                served.fault = knobs.fault
            if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
                served.fault = "401"
            try:
                await asyncio.sleep(knobs.latency_s)
                response: web.StreamResponse
                if _asks_too_much(body):
                    served.fault = "400"
                if served.fault is not None and served.fault not in _PAID:
                    response = await _fail(request, served, knobs)
                else:
                    response = await answer(request, served, knobs)
            except (asyncio.CancelledError, ConnectionError):
                served.complete, served.gone = False, True
                raise
            finally:
                served.ended = True
            return response

        return handle

    async def _chat(self, request: web.Request, served: Served, knobs: Knobs) -> web.StreamResponse:
        reply = Reply(served, knobs)
        served.input_tokens = reply.prompt_tokens
        if served.body.get("stream"):
            return await _stream(request, served, knobs, reply)
        if knobs.raw is not None:
            return web.Response(text="".join(knobs.raw), content_type="application/json")
        served.output_tokens = reply.answer_tokens
        return await _whole(request, served, knobs, reply.whole())

    async def _embed(
        self, request: web.Request, served: Served, knobs: Knobs
    ) -> web.StreamResponse:
        given = served.body["input"]
        texts = given if isinstance(given, list) else [given]
        served.input_tokens = sum(len(str(text).split()) for text in texts)
        plain = served.body.get("encoding_format", "float") == "float"
        data = []
        for i, text in enumerate(texts):
            seed = int.from_bytes(hashlib.sha256(str(text).encode()).digest()[:8], "big")
            size = served.body.get("dimensions", 8)
            vector = np.random.default_rng(seed).normal(size=size).astype("<f4")
            embedding = vector.tolist() if plain else base64.b64encode(vector.tobytes()).decode()
            data.append({"object": "embedding", "index": i, "embedding": embedding})
        usage = {"prompt_tokens": served.input_tokens, "total_tokens": served.input_tokens}
        listed = {"object": "list", "data": data, "model": served.model, "usage": usage}
        return await _whole(request, served, knobs, listed)


def _asks_too_much(body: dict[str, Any]) -> bool:
    """Whether an answer would be larger than any endpoint gives, as generated requests may ask."""
    limits = {"n": _MOST_CHOICES, "dimensions": _MOST_DIMENSIONS}
    return any(
        isinstance(body.get(name), int | float) and not 0 < body[name] <= most
        for name, most in limits.items()
    )


async def _whole(
    request: web.Request, served: Served, knobs: Knobs, document: dict[str, Any]
) -> web.StreamResponse:
    response = web.json_response(document, headers=knobs.headers)
    if served.fault == "cut":
        part = web.StreamResponse(headers={"Content-Type": "application/json"})
        part.content_length = len(json.dumps(document))
        await part.prepare(request)
        await part.write(json.dumps(document)[:20].encode())
        # Lets what was written leave first.
        await asyncio.sleep(0.01)
        _abort(request)
        return part
    await response.prepare(request)
    # Before the caller has all of it, and may ask.
    served.complete = True
    await response.write_eof()
    return response


async def _stream(
    request: web.Request, served: Served, knobs: Knobs, reply: Reply
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **knobs.headers})
    await response.prepare(request)
    if knobs.raw is not None:
        for piece in knobs.raw:
            await response.write(piece.encode())
            await asyncio.sleep(knobs.chunk_s)
        await response.write_eof()
        return response
    for chunk, tokens in reply.chunks():
        await _event(response, json.dumps(chunk))
        served.output_tokens += tokens
        if served.fault is not None and tokens:
            while served.fault == "endless":
                await _event(response, json.dumps(chunk))
                served.output_tokens += tokens
                await asyncio.sleep(knobs.chunk_s)
            if served.fault == "stall":
                await asyncio.sleep(3600.0)
            await _break(request, response, served.fault)
            return response
        await asyncio.sleep(knobs.chunk_s)
    served.complete = True
    await _event(response, "[DONE]")
    await response.write_eof()
    return response


async def _break(request: web.Request, response: web.StreamResponse, fault: Fault) -> None:
    """Ends a stream that has begun."""
    if fault == "late_error":
        await _event(response, json.dumps(_error("it broke in the middle")))
    elif fault == "late_malformed":
        await _event(response, '{"choices": [{"delta": {"con')
    elif fault == "cut":
        # Lets what was written leave first.
        await asyncio.sleep(0.01)
        _abort(request)
        return
    await response.write_eof()


async def _fail(request: web.Request, served: Served, knobs: Knobs) -> web.StreamResponse:
    """Fails before the first byte of an answer."""
    fault = served.fault
    assert fault is not None
    if fault == "hang":
        await asyncio.sleep(3600.0)
    if fault == "reset":
        _abort(request)
        return web.Response()
    if fault.isdecimal() or fault in _REFUSALS:
        served.status, code = _REFUSALS.get(fault) or (int(fault), "stub")
        repeated = f": {served.headers['authorization']}" if fault == "echo" else ""
        error = _error(f"the stub answers {fault}{repeated}", code)
        return web.json_response(error, status=served.status, headers=knobs.headers)
    return await _nonsense(request, served, fault, knobs)


async def _nonsense(
    request: web.Request, served: Served, fault: Fault, knobs: Knobs
) -> web.StreamResponse:
    """Answers 200 and nothing that is an answer."""
    if fault == "html":
        return web.Response(text="<html>a proxy's page</html>", content_type="text/html")
    said = {
        "malformed": '{"choices": [{"mess',
        "empty": "",
        "error": json.dumps(_error("an error in a 200")),
        "no_choices": json.dumps({"id": "chatcmpl-stub", "choices": []}),
    }[fault]
    if not served.body.get("stream"):
        return web.Response(text=said, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **knobs.headers})
    await response.prepare(request)
    if said:
        await _event(response, "[DONE]" if fault == "no_choices" else said)
    await response.write_eof()
    return response


def _error(message: str, code: str = "stub") -> dict[str, Any]:
    return {"error": {"message": message, "type": "stub_error", "param": None, "code": code}}


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _event(response: web.StreamResponse, data: str) -> None:
    await response.write(f"data: {data}\n\n".encode())


@contextmanager
def stub_upstream(*, key: str | None = None, **models: Knobs) -> Iterator[StubUpstream]:
    """Serves in a thread for as long as the block lasts.

    Args:
        key: The Bearer key that is expected; None for any.
        models: Name to knobs; further names go into `stub.models`.
    """
    stub = StubUpstream(models, key=key)
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with serve(stub.app()) as url:
            stub.url = url
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    try:
        assert started.wait(10.0), "the stub did not start"
        yield stub
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10.0)
        loop.close()
