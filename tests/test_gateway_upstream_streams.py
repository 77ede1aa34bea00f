"""Streams of endpoints: held back until they say something, then passed on to their end."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.gateway.refusal import Refusal
from stub_upstream import Fault, Knobs, stub_upstream
from upstream_calls import calls_to, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("STUB_KEY", raising=False)


def said(stream: bytes) -> tuple[str, list[dict[str, Any]]]:
    """The text of a stream that ended well, and its chunks."""
    *events, done, rest = stream.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas), chunks


async def keep(pieces: list[bytes], events: AsyncIterator[bytes]) -> None:
    """Keeps what comes before the break."""
    async for piece in events:
        pieces.append(piece)  # noqa: PERF401  a comprehension would keep nothing


def test_a_stream_comes_as_it_is_with_its_usage() -> None:
    async def body() -> None:
        with stub_upstream() as stub:
            async with calls_to(stub, "small") as calls:
                text, chunks = said(await calls.streamed("small", stream_options={"x": 1}))
                assert text == "small says: what is it?"
                assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
                assert chunks[-1]["usage"]["completion_tokens"] == 5
            assert stub.ledger[0].body["stream_options"] == {"x": 1, "include_usage": True}
            assert stub.ledger[0].complete
            (attempt,) = calls.records[0].attempts
            assert (attempt.error, attempt.status) == (None, 200)

    run(body())


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        ("cut", 502, "stub broke off its stream: Client"),
        ("stall", 504, "stub was silent for 0.1 s in the middle of its stream"),
    ],
)
def test_a_stream_that_dies_says_so_and_is_not_asked_for_elsewhere(
    fault: Fault, status: int, message: str
) -> None:
    async def body() -> None:
        with stub_upstream(bad=Knobs(fault=fault)) as stub:
            async with calls_to(stub, "bad", "good", idle_s=0.1) as calls:
                answer = await calls.open("bad", "good", stream=True)
                pieces: list[bytes] = []
                with pytest.raises(Refusal, match=message) as broken:
                    await keep(pieces, answer.events)
                await answer.close()
                assert b"bad " in b"".join(pieces)
                assert b"[DONE]" not in b"".join(pieces)
                assert broken.value.status == status
                assert broken.value.code == "upstream_stream_broken"
                (attempt,) = calls.records[0].attempts
                assert attempt.error is not None
                assert attempt.error.startswith(message)
                assert attempt.cost_usd is None
                assert calls.upstreams.states()["stub/bad"]["failures"] == 1
            assert stub.asked() == ["bad"]

    run(body())


def test_a_slow_drip_passes_until_the_deadline() -> None:
    async def body() -> None:
        with stub_upstream(drip=Knobs(fault="endless", chunk_s=0.02)) as stub:
            async with calls_to(stub, "drip", idle_s=5.0) as calls:
                answer = await calls.open("drip", stream=True, deadline=0.4)
                with pytest.raises(Refusal, match="did not end its stream before the request's"):
                    await keep([], answer.events)
            stub.wait(lambda stub: stub.ledger[0].gone)

    run(body())


def test_a_stream_that_is_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusionfactory.gateway.upstream.answer.LARGEST_STREAM", 2**20)

    async def body() -> None:
        with stub_upstream(long=Knobs(fault="endless")) as stub:
            async with calls_to(stub, "long") as calls:
                answer = await calls.open("long", stream=True)
                with pytest.raises(Refusal, match="sent a stream of more than 1 MiB"):
                    await keep([], answer.events)
            stub.wait(lambda stub: stub.ledger[0].gone)

    run(body())


def test_a_caller_that_leaves_a_stream_cancels_it_at_once() -> None:
    async def body() -> None:
        with stub_upstream(slow=Knobs(fault="endless", chunk_s=0.01)) as stub:
            async with calls_to(stub, "slow", endpoint={"concurrency": 1}) as calls:
                answer = await calls.open("slow", stream=True)
                events = answer.events
                assert b"data: " in await anext(events)
                assert not stub.ledger[0].gone
                await answer.close()
                await asyncio.to_thread(stub.wait, lambda stub: stub.ledger[0].gone)
                assert [piece async for piece in events] == []
                (attempt,) = calls.records[0].attempts
                assert attempt.error == "the caller went away"
                assert calls.upstreams.states()["stub/slow"]["failures"] == 0
                stub.models["slow"] = Knobs()
                await calls.streamed("slow")

    run(body())


def test_a_caller_that_is_cancelled_in_a_stream_cancels_it() -> None:
    async def body() -> None:
        with stub_upstream(slow=Knobs(fault="stall")) as stub:
            async with calls_to(stub, "slow") as calls:
                task = asyncio.create_task(calls.streamed("slow"))
                await asyncio.to_thread(
                    stub.wait, lambda stub: stub.ledger and stub.ledger[0].output_tokens
                )
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await asyncio.to_thread(stub.wait, lambda stub: stub.ledger[0].gone)

    run(body())


def test_the_end_of_a_stream_frees_its_turn_before_the_caller_closes_it() -> None:
    async def body() -> None:
        with stub_upstream() as stub:
            async with calls_to(stub, "small", endpoint={"concurrency": 1}) as calls:
                answer = await calls.open("small", stream=True)
                assert calls.upstreams.states()["stub/small"]["running"] == 1
                async for piece in answer.events:
                    if b"[DONE]" in piece:
                        break
                assert calls.upstreams.states()["stub/small"]["running"] == 0
                (attempt,) = calls.records[0].attempts
                assert (attempt.error, attempt.latency_s > 0) == (None, True)
                await answer.close()
                assert attempt.error is None

    run(body())


def test_an_answer_that_speaks_of_the_end_is_not_over() -> None:
    word = '{"choices": [{"index": 0, "delta": {"content": "data: [DONE]"}}]}'
    written = f"data: {word}\n\n"
    cut = written.index("[DONE]") + len("[DONE]")

    async def body() -> None:
        pieces = [f"data: {WORD}\n\n{written[:cut]}", f"{written[cut:]}data: [DO", "NE]\n\n"]
        with stub_upstream(raw=Knobs(raw=pieces, chunk_s=0.05)) as stub:
            async with calls_to(stub, "raw") as calls:
                assert (await calls.streamed("raw")).decode() == "".join(pieces)

    run(body())


def test_a_caller_that_stops_at_the_end_leaves_the_connection_to_others() -> None:
    async def body() -> None:
        with stub_upstream() as stub:
            async with calls_to(stub, "small") as calls:
                for _ in range(10):
                    answer = await calls.open("small", stream=True)
                    async for piece in answer.events:
                        if b"[DONE]" in piece:
                            break
                    await answer.close()
                    await asyncio.sleep(0.02)
            assert all(served.complete for served in stub.ledger)
            assert stub.connections == 1

    run(body())


ROLE = '{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}'
WORD = '{"choices": [{"index": 0, "delta": {"content": "word"}}]}'
CALL = '{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c"}]}}]}'
THOUGHT = '{"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}'
LAST = '{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}'
USED = '{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 0}}'
FILTER = '{"choices": [], "prompt_filter_results": []}'


@pytest.mark.parametrize(
    "stream",
    [
        [WORD, "[DONE]"],
        [ROLE, WORD, "[DONE]"],
        [FILTER, ROLE, CALL, "[DONE]"],
        [ROLE, THOUGHT, "[DONE]"],
        [ROLE, LAST, "[DONE]"],
        [ROLE, USED, "[DONE]"],
        [ROLE, WORD],
    ],
)
@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_that_says_something_is_passed_on_whole(
    stream: list[str], end: str, size: int
) -> None:
    written = ": a comment\n\n" + "".join(f"data: {event}{end}" for event in stream)
    pieces = [written[i : i + size] for i in range(0, len(written), size)]

    async def body() -> None:
        with stub_upstream(raw=Knobs(raw=pieces)) as stub:
            async with calls_to(stub, "raw", "good") as calls:
                assert (await calls.streamed("raw", "good")).decode() == written
            assert stub.asked() == ["raw"], "an answer that is paid is the only one"

    run(body())


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ([ROLE], "ended a stream without a word"),
        ([ROLE, "[DONE]"], "ended a stream without a word"),
        ([FILTER, "[DONE]"], "ended a stream without a word"),
        (["7"], "began a stream with an event that is no JSON object: 7"),
        ([ROLE, '{"choices'], "began a stream with an event that is no JSON object: "),
        ([ROLE, '{"error": {"message": "late", "code": 429}}'], "answered 429: late"),
        (['{"error": "overloaded"}'], "answered 502: overloaded"),
    ],
)
def test_a_stream_that_says_nothing_is_asked_for_elsewhere(stream: list[str], message: str) -> None:
    written = [f"data: {event}\n\n" for event in stream]

    async def body() -> None:
        with stub_upstream(raw=Knobs(raw=written)) as stub:
            async with calls_to(stub, "raw", "good") as calls:
                assert said(await calls.streamed("raw", "good"))[0] == "good says: what is it?"
                error = calls.records[0].attempts[0].error
                assert error is not None
                assert error.startswith(f"stub {message}")

    run(body())


def test_comments_alone_do_not_keep_a_stream_waiting_for_ever() -> None:
    async def body() -> None:
        with stub_upstream(raw=Knobs(raw=[": still busy\n\n"] * 1000, chunk_s=0.01)) as stub:
            async with calls_to(stub, "raw", "good", first_byte_s=0.2) as calls:
                assert said(await calls.streamed("raw", "good"))[0] == "good says: what is it?"
            assert calls.records[0].attempts[0].error == "stub gave no answer within 0.2 s"

    run(body())


def test_a_stream_that_is_none() -> None:
    async def body() -> None:
        with stub_upstream(bad=Knobs(fault="html")) as stub:
            async with calls_to(stub, "bad", attempts=1) as calls:
                with pytest.raises(Refusal, match="answered text/html instead of text/event-str"):
                    await calls.open("bad", stream=True)

    run(body())
