from __future__ import annotations

import asyncio
import email.utils
import gc
import gzip
import json
import random
import subprocess
import sys
import time
import traceback
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from fusionfactory.clients import ChatReply, ChatRequest, EndpointClient
from fusionfactory.clients import endpoint as endpoint_module
from fusionfactory.clients.chaos import serve
from fusionfactory.errors import CallError, InputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

KEY = "sk-secret-0123456789"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def completion(content: object = "Bonjour, 世界 🙂", **choice: object) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"choices": [{"message": message, "finish_reason": "stop", **choice}], "usage": USAGE}


@dataclass
class Endpoint:
    """A chat endpoint that plays a list of answers, and a good one when that is at its end."""

    answers: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(
        default_factory=list
    )
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    delay_s: float = 0.0
    hold: int = 0
    """Nobody is answered until so many calls were in flight at a time."""
    full: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self.complete)
        return app

    async def complete(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self.most_in_flight >= self.hold:
            self.full.set()
        try:
            await self.full.wait()
            await asyncio.sleep(self.delay_s)
            if self.answers:
                return await self.answers.pop(0)(request)
            return web.json_response(completion())
        finally:
            self.in_flight -= 1


def says(
    status: int = 200, body: object = None, headers: dict[str, str] | None = None
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        kind = {"Content-Type": "application/json", **(headers or {})}
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=kind)

    return answer


async def hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60.0)
    return web.Response()


async def is_cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = 1000
    await response.prepare(request)
    await response.write(b'{"choices": [{"mess')
    assert request.transport is not None
    request.transport.abort()
    return response


class Waits:
    """Stands for `asyncio.sleep`: notes the seconds and lets others run."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


REQUEST = ChatRequest("m", ({"role": "user", "content": "Wie heißt 水?"},), {"temperature": 0})


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@asynccontextmanager
async def client_of(endpoint: Endpoint, **params: Any) -> AsyncIterator[EndpointClient]:  # noqa: ANN401
    async with serve(endpoint.app()) as url:
        client = EndpointClient(url, **{"timeout_s": 30.0, "sleep": Waits(), **params})
        try:
            yield client
        finally:
            await client.close()


def ask(endpoint: Endpoint, request: ChatRequest = REQUEST, **params: Any) -> ChatReply:  # noqa: ANN401
    async def body() -> ChatReply:
        async with client_of(endpoint, **params) as client:
            return await client.complete(request)

    return asyncio.run(body())


def fails(endpoint: Endpoint, match: str, **params: Any) -> CallError:  # noqa: ANN401
    with pytest.raises(CallError, match=match) as caught:
        ask(endpoint, **params)
    error: CallError | BaseException | None = caught.value
    shown = "".join(traceback.format_exception(caught.value))
    while error is not None:
        shown += repr(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    assert KEY not in shown
    return caught.value


# Replies


def test_a_call_and_its_reply() -> None:
    endpoint = Endpoint()
    reply = ask(endpoint, headers={"X-Title": "FusionFactory"})
    assert reply.text == "Bonjour, 世界 🙂"
    assert (reply.finish_reason, reply.input_tokens, reply.output_tokens) == ("stop", 7, 5)
    assert reply.usage == USAGE
    assert reply.latency_s is not None
    assert reply.latency_s > 0
    assert endpoint.bodies == [{"model": "m", "messages": list(REQUEST.messages), "temperature": 0}]
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert endpoint.headers[0]["X-Title"] == "FusionFactory"


def test_no_key_where_none_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    endpoint = Endpoint()
    ask(endpoint)
    assert "Authorization" not in endpoint.headers[0]


def test_the_key_of_another_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " other ")
    endpoint = Endpoint()
    ask(endpoint, api_key_env="MY_KEY")
    assert endpoint.headers[0]["Authorization"] == "Bearer other"


def test_content_in_parts() -> None:
    parts = [
        {"type": "text", "text": "one "},
        {"type": "image", "image": "..."},
        {"type": "text", "text": "two"},
    ]
    assert ask(Endpoint([says(body=completion(parts))])).text == "one two"


@pytest.mark.parametrize(
    ("told", "mean"),
    [
        ({"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}]}, -0.75),
        ({"content": None, "refusal": [{"token": "a", "logprob": -2.0}]}, -2.0),
        ({"content": [{"logprob": -1.0}, {"logprob": -3.4e38}, {"logprob": None}, {}, 3]}, -1.0),
        ({"content": [{"logprob": 1e-9}]}, 0.0),
        ({"content": []}, None),
        ({"tokens": ["a"], "token_logprobs": [-1.0]}, None),
        ("none", None),
        (None, None),
    ],
)
def test_how_sure_the_model_was_of_its_tokens(told: object, mean: float | None) -> None:
    assert ask(Endpoint([says(body=completion(logprobs=told))])).logprob == mean


def test_a_refusal_of_the_model_is_its_answer() -> None:
    body = completion(message={"content": None, "refusal": "I cannot help with that."})
    assert ask(Endpoint([says(body=body)])).text == "I cannot help with that."


@pytest.mark.parametrize("character", ["\\ud800", "\\u0000"])
def test_what_no_store_can_hold_is_replaced(character: str) -> None:
    body = json.dumps(completion("a? 🙂")).replace("?", character)
    assert ask(Endpoint([says(body=body)])).text == "a\ufffd 🙂"
    refusal = '{"error": {"message": "bad ?"}}'.replace("?", character)
    with pytest.raises(CallError, match="answered 400: bad \ufffd"):
        ask(Endpoint([says(400, refusal)]))


def test_lone_surrogates_can_be_sent() -> None:
    endpoint = Endpoint()
    request = ChatRequest("m", ({"role": "user", "content": "\ud800"},))
    ask(endpoint, request)
    assert endpoint.bodies[0]["messages"][0]["content"] == "\ud800"


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, (None, None)),
        ("many", (None, None)),
        ({"prompt_tokens": 7}, (7, None)),
        ({"prompt_tokens": -1, "completion_tokens": 2.5}, (None, None)),
        ({"prompt_tokens": True, "completion_tokens": 5}, (None, 5)),
        # Reasoning within the output, as OpenAI counts, and only within the total.
        (
            {
                "prompt_tokens": 7,
                "completion_tokens": 30,
                "total_tokens": 37,
                "completion_tokens_details": {"reasoning_tokens": 25},
            },
            (7, 30),
        ),
        ({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 37}, (7, 30)),
    ],
)
def test_usage(usage: object, tokens: tuple[int | None, int | None]) -> None:
    reply = ask(Endpoint([says(body={**completion("x"), "usage": usage})]))
    assert (reply.input_tokens, reply.output_tokens) == tokens
    assert reply.usage == (usage if isinstance(usage, dict) else {})


def test_a_call_that_is_made_again_has_the_same_idempotency_key() -> None:
    endpoint = Endpoint([says(503, "busy")])
    ask(endpoint, replace(REQUEST, occasion="q1 m 0"))
    ask(endpoint, replace(REQUEST, occasion="q1 m 1"))
    ask(endpoint, replace(REQUEST, occasion="q1 m 0", params={}))
    ask(endpoint)
    first, again, other, longer, none = (head.get("Idempotency-Key") for head in endpoint.headers)
    assert first == again
    assert len({first, other, longer}) == 3
    assert none is None


# Failures


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_statuses_that_no_retry_helps(status: int) -> None:
    endpoint = Endpoint([says(status, {"error": {"message": f"no\n{KEY}", "code": "c"}})])
    hint = r" \(is \$OPENAI_API_KEY set to a valid key\?\)" if status in {401, 403} else ""
    error = fails(endpoint, rf"/chat/completions answered {status}{hint}: no \*\*\*$")
    assert (error.status, error.retryable) == (status, False)
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_statuses_that_pass(status: int) -> None:
    endpoint = Endpoint([says(status, "busy")] * 2)
    assert ask(endpoint).text
    assert len(endpoint.bodies) == 3


def test_retries_end() -> None:
    endpoint = Endpoint([says(503, "busy")] * 9)
    error = fails(endpoint, "answered 503: busy", retries=2)
    assert (error.status, error.retryable) == (503, True)
    assert len(endpoint.bodies) == 3


@pytest.mark.parametrize(
    ("status", "advice", "attempts"), [(500, "false", 1), (429, "false", 1), (400, "true", 2)]
)
def test_the_endpoint_says_whether_to_retry(status: int, advice: str, attempts: int) -> None:
    endpoint = Endpoint([says(status, "no", {"x-should-retry": advice})] * attempts)
    fails(endpoint, f"answered {status}", retries=1)
    assert len(endpoint.bodies) == attempts


def test_a_spent_quota_is_no_rate_limit() -> None:
    said = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    endpoint = Endpoint([says(429, said, {"Retry-After": "1"})])

    async def body() -> None:
        async with client_of(endpoint) as client:
            with pytest.raises(CallError, match="answered 429: You exceeded") as caught:
                await client.complete(REQUEST)
            assert not caught.value.retryable
            assert client.limiter.limit == client.concurrency

    asyncio.run(body())
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        ("<html>", {"Content-Type": "text/html"}, "answered text/html instead of .*: <html>"),
        ('{"choices": [{', {}, r"answered malformed JSON \(JSONDecodeError\): {"),
        ("[" * 100_000, {}, r"answered malformed JSON \(RecursionError\)"),
        ("[1]", {}, r"answered JSON that is no object: \[1\]"),
        ({"object": "list"}, {}, "answered no choices with a message"),
        ({"choices": []}, {}, "answered no choices with a message"),
        ({"choices": [None]}, {}, "answered no choices with a message"),
        ({"choices": [{"message": {"content": 7}}]}, {}, "answered no choices with a message"),
        ({"error": {"message": "overloaded", "code": 502}}, {}, "no choices .*: overloaded"),
    ],
)
def test_answers_that_are_none_are_asked_for_again(
    body: object, headers: dict[str, str], message: str
) -> None:
    endpoint = Endpoint([says(200, body, headers)])
    assert ask(endpoint).text
    assert len(endpoint.bodies) == 2
    error = fails(Endpoint([says(200, body, headers)] * 2), message, retries=1)
    assert (error.status, error.retryable) == (200, True)


@pytest.mark.parametrize("content", ["", None, " \n", []])
def test_an_empty_answer_is_paid_and_not_asked_for_again(content: object) -> None:
    endpoint = Endpoint([says(body=completion(content, finish_reason="length"))])
    error = fails(endpoint, r"empty response \(finish_reason length\)$")
    assert (error.input_tokens, error.output_tokens, error.retryable) == (7, 5, False)
    assert len(endpoint.bodies) == 1


def test_a_cut_body() -> None:
    endpoint = Endpoint([is_cut])
    assert ask(endpoint).text
    error = fails(Endpoint([is_cut]), "cannot be reached: Client", retries=0)
    assert (error.status, error.retryable) == (None, True)


def test_a_hang_is_cut() -> None:
    endpoint = Endpoint([hangs])
    assert ask(endpoint, timeout_s=0.5, retries=20).text
    error = fails(Endpoint([hangs]), r"gave no answer within 0\.1 s", timeout_s=0.1, retries=0)
    assert error.retryable


def test_nobody_listens() -> None:
    async def body() -> None:
        waits = Waits()
        client = EndpointClient("http://127.0.0.1:9/v1/", retries=2, sleep=waits)
        with pytest.raises(CallError, match=r":9/v1/chat/completions cannot be reached"):
            await client.complete(REQUEST)
        assert len(waits.seconds) == 2
        await client.close()

    asyncio.run(body())


def test_redirects_are_not_followed() -> None:
    endpoint = Endpoint([says(307, "", {"Location": "/v1/chat/completions"})])
    assert not fails(endpoint, "answered 307").retryable
    assert len(endpoint.bodies) == 1


def test_a_key_that_no_header_can_hold_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sec\nret")
    with pytest.raises(InputError, match=r"^\$OPENAI_API_KEY holds characters that no key has$"):
        ask(Endpoint())


def test_the_key_is_gone_before_a_message_is_cut() -> None:
    # The cut of the message would fall into the key.
    error = fails(Endpoint([says(400, "x" * 290 + KEY + "y" * 5000)]), r"x\*\*\*yyy")
    assert "sk-" not in str(error)
    assert len(str(error)) < 400


def test_a_huge_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "LARGEST_BODY", 2 * 2**20)
    endpoint = Endpoint([says(body=completion("x" * 3 * 2**20))])
    assert not fails(endpoint, "answered more than 2 MiB").retryable
    assert len(ask(Endpoint([says(body=completion("x" * 2**20))])).text) == 2**20


def test_a_small_body_that_unpacks_to_a_huge_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "LARGEST_BODY", 2**20)

    async def bomb(_: web.Request) -> web.StreamResponse:
        body = gzip.compress(b'{"a": "' + b"x" * 2**24)
        kind = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        return web.Response(body=body, headers=kind)

    fails(Endpoint([bomb]), "answered more than 1 MiB")


def test_the_beginning_of_an_endless_refusal_will_do() -> None:
    fails(Endpoint([says(400, "x" * 2**22)]), "answered 400: x+$")


# Waits


def test_the_wait_that_the_endpoint_asks_for() -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    used_up = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m2.5s",
        "x-ratelimit-remaining-tokens": "17",
        "x-ratelimit-reset-tokens": "1h",
    }
    answers = [
        says(429, "", {"Retry-After": "0.25"}),
        says(500, "", {"Retry-After": "7", "retry-after-ms": "1500"}),
        says(500, "", {"Retry-After": date}),
        says(500, "", used_up),
        says(500, "", {**used_up, "x-ratelimit-reset-requests": "20ms"}),
    ]
    waits = Waits()
    ask(Endpoint(answers), sleep=waits)
    assert waits.seconds[:2] == [0.25, 1.5]
    assert 90 < waits.seconds[2] <= 100
    assert waits.seconds[3:] == [62.5, 0.02]


@pytest.mark.parametrize(
    "header",
    [
        {"Retry-After": "0"},
        {"Retry-After": "soon"},
        {"Retry-After": "-5"},
        {"Retry-After": "9" * 400},
        {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "?"},
        {},
    ],
)
def test_without_a_wait_to_read_the_jitter_is_seeded(header: dict[str, str]) -> None:
    waits = Waits()
    answers = [says(500, "", header)] * 4
    ask(Endpoint(answers), sleep=waits, rng=random.Random(3), backoff_s=2.0)  # noqa: S311
    rng = random.Random(3)  # noqa: S311
    assert waits.seconds == [rng.random() * limit for limit in (2.0, 4.0, 8.0, 16.0)]


def test_who_asks_for_too_long_a_wait_is_not_asked_again() -> None:
    endpoint = Endpoint([says(429, "tomorrow", {"Retry-After": "80000"})])
    error = fails(endpoint, "answered 429: tomorrow")
    assert (error.retryable, error.retry_after_s) == (True, 80000.0)
    assert len(endpoint.bodies) == 1


# Concurrency


def ask_many(endpoint: Endpoint, count: int, **params: Any) -> tuple[list[str], int]:  # noqa: ANN401
    async def body() -> tuple[list[str], int]:
        async with client_of(endpoint, **params) as client:
            calls = (
                client.complete(ChatRequest("m", ({"role": "user", "content": str(i)},)))
                for i in range(count)
            )
            replies = await asyncio.gather(*calls)
            assert client.limiter.in_flight == 0
            return [reply.text for reply in replies], client.limiter.limit

    return asyncio.run(body())


def test_64_calls_in_parallel() -> None:
    endpoint = Endpoint(hold=64)
    texts, limit = ask_many(endpoint, 64, concurrency=64)
    assert len(texts) == 64
    assert limit == endpoint.most_in_flight == 64
    assert sorted(int(body["messages"][0]["content"]) for body in endpoint.bodies) == [*range(64)]


def test_no_more_at_a_time_than_allowed() -> None:
    endpoint = Endpoint(hold=7, delay_s=0.002)
    ask_many(endpoint, 100, concurrency=7)
    assert endpoint.most_in_flight == 7


def test_an_overload_lowers_the_concurrency_and_successes_raise_it() -> None:
    endpoint = Endpoint([says(429, "")] * 8, delay_s=0.002)
    _, limit = ask_many(endpoint, 10, concurrency=8)
    assert limit < 8
    endpoint = Endpoint([says(429, "")], delay_s=0.002)
    _, limit = ask_many(endpoint, 60, concurrency=8)
    assert limit == 8


async def hold_back(endpoint: Endpoint, **params: Any) -> None:  # noqa: ANN401
    """Of three calls one after another, only the first one's first attempt is let through."""
    async with client_of(endpoint, **params) as client:
        calls = [asyncio.create_task(client.complete(REQUEST)) for _ in range(3)]
        await asyncio.wait(calls, timeout=0.2)
        assert len(endpoint.bodies) == 1
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert client.limiter.in_flight == 0


def test_a_retry_after_pauses_everyone() -> None:
    endpoint = Endpoint([says(429, "", {"Retry-After": "60"})])
    asyncio.run(hold_back(endpoint, concurrency=1))


def test_requests_per_minute_hold_back() -> None:
    asyncio.run(hold_back(Endpoint(), requests_per_minute=1))


def test_tokens_per_minute_count_what_was_used() -> None:
    large = {"prompt_tokens": 100_000, "completion_tokens": 1}
    endpoint = Endpoint([says(body={**completion(), "usage": large})])
    asyncio.run(hold_back(endpoint, concurrency=1, tokens_per_minute=60_000))


def test_a_slot_is_free_while_a_call_waits_to_be_tried_again() -> None:
    async def body() -> None:
        endpoint = Endpoint([says(500, "")])
        woken = asyncio.Event()

        async def wait(_: float) -> None:
            await woken.wait()

        async with client_of(endpoint, concurrency=1, sleep=wait) as client:
            first = asyncio.create_task(client.complete(REQUEST))
            while not endpoint.bodies or client.limiter.in_flight:
                await asyncio.sleep(0.001)
            assert (await client.complete(REQUEST)).text
            assert not first.done()
            woken.set()
            assert (await first).text

    asyncio.run(body())


def test_a_cancelled_call_frees_its_slot() -> None:
    async def body() -> None:
        endpoint = Endpoint([hangs, hangs])
        async with client_of(endpoint, concurrency=2) as client:
            calls = [asyncio.create_task(client.complete(REQUEST)) for _ in range(4)]
            while len(endpoint.bodies) < 2:
                await asyncio.sleep(0.001)
            calls[0].cancel()
            assert (await calls[2]).text
            assert (await calls[3]).text
            calls[1].cancel()
            ends = await asyncio.gather(*calls[:2], return_exceptions=True)
            assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
            assert client.limiter.in_flight == 0

    asyncio.run(body())


# Life


def test_closing_ends_calls_under_way_and_later_ones() -> None:
    async def body() -> None:
        endpoint = Endpoint([hangs])
        async with client_of(endpoint) as client:
            call = asyncio.create_task(client.complete(REQUEST))
            while not endpoint.bodies:
                await asyncio.sleep(0.001)
            await client.close()
            await client.close()
            with pytest.raises(CallError, match="/chat/completions cannot be reached"):
                await call
            with pytest.raises(CallError, match="the client is closed"):
                await client.complete(REQUEST)
        assert len(endpoint.bodies) == 1

    asyncio.run(body())


def test_nothing_is_left_open(recwarn: pytest.WarningsRecorder) -> None:
    ask_many(Endpoint(), 10)
    with pytest.raises(CallError, match="within"):
        ask(Endpoint([hangs]), timeout_s=0.05, retries=0)
    EndpointClient("http://127.0.0.1:9/v1")
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_client_belongs_to_one_loop() -> None:
    with asyncio.Runner() as runner:
        endpoint = Endpoint()

        async def first() -> EndpointClient:
            async with serve(endpoint.app()) as url:
                client = EndpointClient(url)
                await client.complete(REQUEST)
                return client

        client = runner.run(first())
        with pytest.raises(UnsupportedError, match="belongs to another event loop"):
            asyncio.run(_complete(client))
        runner.run(client.close())


async def _complete(client: EndpointClient) -> ChatReply:
    return await client.complete(REQUEST)


def test_the_key_is_in_no_representation() -> None:
    async def body() -> None:
        async with client_of(Endpoint()) as client:
            await client.complete(REQUEST)
            assert repr(client) == f"EndpointClient({client.base_url!r})"
            assert KEY not in f"{client} {client!r} {client._source!r}"

    asyncio.run(body())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"base_url": "ftp://host"}, "expected an http or https URL"),
        ({"base_url": f"https://user:{KEY}@host/v1"}, "no password and no query"),
        ({"base_url": f"https://host/v1?api-key={KEY}"}, "no password and no query"),
        ({"concurrency": 0}, "0 is no limit"),
        ({"headers": {"Authorization": KEY}}, "'Authorization' holds a secret: name the key's"),
        ({"headers": {"X-Title": "a\r\nb"}}, "'X-Title' or its value is not printable"),
    ],
)
def test_settings_that_cannot_be_used(params: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        EndpointClient(**{"base_url": "https://host/v1", **params})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"stream": True}, "streams are not collected"),
        ({"temperature": float("nan")}, "the request is no JSON: Out of range"),
        ({"stop": {"a"}}, "the request is no JSON: Object of type set"),
    ],
)
def test_requests_that_cannot_be_sent(params: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ask(Endpoint(), ChatRequest("m", (), params))


def test_parameters_do_not_replace_model_and_messages() -> None:
    endpoint = Endpoint()
    params = {"model": "other", "messages": [], "metadata": {"a": "b"}}
    ask(endpoint, ChatRequest("m", REQUEST.messages, params))
    assert endpoint.bodies[0]["model"] == "m"
    assert endpoint.bodies[0]["messages"] == list(REQUEST.messages)
    assert endpoint.bodies[0]["metadata"] == {"a": "b"}


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def forward(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.raw_path}")
        return web.json_response(completion("by proxy"))

    async def body() -> ChatReply:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        async with serve(app) as url:
            monkeypatch.setenv("http_proxy", url.removesuffix("/v1"))
            client = EndpointClient("http://models.invalid/v1")
            try:
                return await client.complete(REQUEST)
            finally:
                await client.close()

    assert asyncio.run(body()).text == "by proxy"
    assert asked == ["POST http://models.invalid/v1/chat/completions"]


def test_aiohttp_is_loaded_late() -> None:
    code = (
        "import sys; from fusionfactory.clients import EndpointClient, ReplayClient; "
        "EndpointClient('http://127.0.0.1:9/v1'); print('aiohttp' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_clients_has_no_other_name() -> None:
    with pytest.raises(ImportError, match="cannot import name 'NoClient'"):
        from fusionfactory.clients import NoClient  # noqa: F401


def test_calls_that_are_not_on_their_way_can_be_dropped() -> None:
    """One is at the endpoint, one waits to try again, two wait for their turn."""

    async def body() -> None:
        endpoint = Endpoint([says(500, {}), says(200, completion("at last"))], hold=2)
        asleep = asyncio.Event()

        async def sleep(_: float) -> None:
            asleep.set()
            await asyncio.Event().wait()

        async with client_of(endpoint, concurrency=2, sleep=sleep) as client:
            calls = [asyncio.ensure_future(client.complete(REQUEST)) for _ in range(2)]
            await asleep.wait()
            endpoint.answers.clear()
            endpoint.delay_s = 0.2
            calls += [asyncio.ensure_future(client.complete(REQUEST)) for _ in range(4)]
            while endpoint.in_flight < 2:
                await asyncio.sleep(0)
            asked = len(endpoint.bodies)
            client.drop_waiting()
            done = await asyncio.gather(*calls, return_exceptions=True)
            kept = [reply for reply in done if isinstance(reply, ChatReply)]
            dropped = [error for error in done if isinstance(error, asyncio.CancelledError)]
            assert len(kept) == 3
            assert len(dropped) == 3
            assert len(endpoint.bodies) == asked
            assert client.limiter.in_flight == 0
            assert (await client.complete(REQUEST)).text == "Bonjour, 世界 🙂"

    asyncio.run(asyncio.wait_for(body(), 60.0))
