"""The chaos endpoint's streams: what they meet after the first word, and what the ledger says."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from io import StringIO
from typing import Any

import aiohttp
import pytest

from fusionfactory.clients.chaos import LATE, Chaos, make_app, request_key, serve

GOOD = Chaos(seed=3, faults=0.0, fatal=0.0, streams=True, prices=(10.0, 20.0), drip_s=0.001)


def messages(i: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"Question {i}?"}]


def key(i: int) -> str:
    return request_key("chaos-small", messages(i))


async def ask(url: str, i: int, *, stream: bool = True) -> tuple[int, bytes]:
    """Status and what came; a stream that breaks is what came before."""
    body = {"model": "chaos-small", "messages": messages(i), "stream": stream,
            "stream_options": {"include_usage": True}}  # fmt: skip
    got = b""
    timeout = aiohttp.ClientTimeout(sock_read=0.5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            async with session.post(f"{url}/chat/completions", json=body) as response:
                async for piece in response.content.iter_any():
                    got += piece
                return response.status, got
        except (aiohttp.ClientError, TimeoutError):
            return 0, got


def play(chaos: Chaos, *asked: int) -> tuple[list[tuple[int, bytes]], list[dict[str, Any]]]:
    """Answers of requests one after another, and the ledger."""
    log = StringIO()

    async def body() -> list[tuple[int, bytes]]:
        async with serve(make_app(chaos, log)) as url:
            return [await ask(url, i) for i in asked]

    answers = asyncio.run(body())
    return answers, [json.loads(line) for line in log.getvalue().splitlines()]


def text_of(stream: bytes) -> str:
    chunks = [json.loads(event[6:]) for event in stream.decode().split("\n\n")[:-2]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    return "".join(delta.get("content", "") for delta in deltas)


def full_price(i: int, chaos: Chaos = GOOD) -> float:
    usage = chaos.answer(key(i), "chaos-small")["usage"]
    return float(usage["prompt_tokens"] * 10.0 + usage["completion_tokens"] * 20.0) / 1e6


def test_a_good_stream_says_what_the_whole_answer_says_and_costs_as_much() -> None:
    ((status, stream),), (line,) = play(GOOD, 1)
    answer = GOOD.answer(key(1), "chaos-small")
    assert status == 200
    assert stream.endswith(b"data: [DONE]\n\n")
    assert text_of(stream) == answer["choices"][0]["message"]["content"]
    assert json.loads(stream.decode().split("\n\n")[-3][6:])["usage"] == answer["usage"]
    assert line == {
        "key": key(1),
        "attempt": 1,
        "behaviour": "ok",
        "complete": True,
        "model": "chaos-small",
        "stream": True,
        "usage": answer["usage"],
        "cost_usd": pytest.approx(full_price(1)),
    }


def test_what_streams_meet_depends_on_seed_and_request_and_happens_once() -> None:
    chaos = Chaos(seed=7, faults=0.0, fatal=0.0, late=0.5)
    plan = [chaos.late_behaviour(key(i)) for i in range(2000)]
    assert plan == [chaos.late_behaviour(key(i)) for i in range(2000)]
    met = Counter(plan)
    assert set(met) == {None, *LATE}
    assert met[None] == pytest.approx(1000, abs=110)


@pytest.mark.parametrize("late", LATE)
def test_each_late_fault_happens_once_and_is_paid_in_part(late: str) -> None:
    chaos = Chaos(seed=3, faults=0.0, fatal=0.0, streams=True, late=1.0, drip_s=0.001,
                  prices=(10.0, 20.0))  # fmt: skip
    i = next(i for i in range(1000) if chaos.late_behaviour(key(i)) == late)
    ((status, first), (_, second)), (line, again) = play(chaos, i, i)
    assert second.endswith(b"data: [DONE]\n\n")
    assert (again["behaviour"], again["complete"]) == ("ok", True)
    assert line["behaviour"] == late
    if late == "drip":
        assert first == second
        assert line["complete"]
        return
    assert b"[DONE]" not in first
    assert first.count(b"data: ") == (3 if late == "late_malformed" else 2)
    assert second.startswith(first[: first.rindex(b"\n\ndata: ")])
    assert status == (0 if late in {"cut", "stall"} else 200)
    assert not line["complete"]
    assert 0 < line["cost_usd"] < again["cost_usd"] == pytest.approx(full_price(i, chaos))


@pytest.mark.parametrize("kind", ["429", "500", "reset", "malformed", "html"])
def test_faults_before_the_first_word_cost_nothing(kind: str) -> None:
    chaos = Chaos(seed=3, faults=1.0, fatal=0.0, most_faults=1, streams=True, prices=(10.0, 20.0))
    i = next(i for i in range(1000) if chaos.behaviour(key(i), 1) == kind)
    ((status, first), (_, second)), (line, again) = play(chaos, i, i)
    assert status == {"429": 429, "500": 500, "reset": 0}.get(kind, 200)
    assert b"content" not in first or kind == "malformed"
    assert b"[DONE]" not in first
    assert second.endswith(b"data: [DONE]\n\n")
    assert (line["behaviour"], line["complete"], line["cost_usd"]) == (kind, False, 0.0)
    assert again["cost_usd"] > 0


def test_a_caller_that_leaves_a_stream_pays_for_a_part() -> None:
    chaos = Chaos(seed=3, faults=0.0, fatal=0.0, streams=True, late=1.0, drip_s=0.2,
                  prices=(10.0, 20.0))  # fmt: skip
    i = next(i for i in range(1000) if chaos.late_behaviour(key(i)) == "drip")
    log = StringIO()

    async def body() -> None:
        async with serve(make_app(chaos, log)) as url:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ask(url, i), 0.5)
            while not log.getvalue():
                await asyncio.sleep(0.001)

    asyncio.run(body())
    line = json.loads(log.getvalue())
    assert not line["complete"]
    assert 0 < line["cost_usd"] < full_price(i, chaos)
