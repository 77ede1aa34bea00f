"""Calls through an endpoint that misbehaves and one that does not: all are answered, and once."""

from __future__ import annotations

import asyncio
import json
from io import StringIO
from typing import Any

import pytest

from fusionfactory.clients.chaos import Chaos, make_app, request_key, serve
from fusionfactory.config import Config
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.upstream.upstreams import Upstreams
from fusionfactory.serve_settings import UpstreamSettings
from upstream_calls import Calls, run

PRICES = (10.0, 20.0)
CALLS = 120


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def fleet(rough: str, healthy: str) -> Fleet:
    price = {"input_price": PRICES[0], "output_price": PRICES[1]}
    return Fleet(
        Config.model_validate(
            {
                "endpoints": [
                    {"name": name, "base_url": url, "api_key_env": "NO_SUCH_KEY",
                     "concurrency": 32, "backoff_s": 0.01}
                    for name, url in (("rough", rough), ("healthy", healthy))
                ],
                "models": [
                    {"name": name, "endpoint": name, **price} for name in ("rough", "healthy")
                ],
            }
        )
    )  # fmt: skip


def used(answer: dict[str, Any]) -> dict[str, int]:
    """The usage of an answer, or of a stream's last chunk."""
    usage: dict[str, int] = answer["usage"]
    return usage


def last_chunk(stream: bytes) -> dict[str, Any]:
    """What stands before the good end of a stream."""
    events = stream.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunk: dict[str, Any] = json.loads(events[-3].removeprefix("data: "))
    return chunk


def asked(i: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"Question {i}?"}]


def test_whatever_a_healthy_arm_can_answer_is_answered_and_paid_once() -> None:
    rough = Chaos(seed=11, faults=0.6, fatal=0.2, streams=True, prices=PRICES, retry_after_s=0.01)
    healthy = Chaos(seed=12, faults=0.0, fatal=0.0, streams=True, prices=PRICES)
    ledgers = StringIO(), StringIO()
    # A 400 is final: what is wrong with a request is wrong for every arm.
    served = [
        i for i in range(CALLS) if rough.behaviour(request_key("rough", asked(i)), 9) != "400"
    ]
    todo = iter(served)

    async def body() -> list[dict[str, int]]:
        async with (
            serve(make_app(rough, ledgers[0])) as one,
            serve(make_app(healthy, ledgers[1])) as other,
        ):
            settings = UpstreamSettings(first_byte_s=2.0, breaker_failures=20, breaker_open_s=0.2)
            upstreams = Upstreams(fleet(one, other), settings)
            calls = Calls(upstreams)

            async def call(i: int) -> dict[str, int]:
                if i % 2:
                    stream = await calls.streamed("rough", "healthy", messages=asked(i))
                    return used(last_chunk(stream))
                return used(await calls.whole("rough", "healthy", messages=asked(i)))

            async def some() -> list[dict[str, int]]:
                return [await call(i) for i in todo]

            try:
                shares = await asyncio.gather(*(some() for _ in range(24)))
                return [usage for share in shares for usage in share]
            finally:
                await upstreams.close()

    answers = run(body())
    assert len(answers) == len(served)
    lines = [json.loads(line) for log in ledgers for line in log.getvalue().splitlines()]
    assert {"429", "500", "hang", "reset", "malformed", "html"} <= {
        line["behaviour"] for line in lines
    }, "else nothing was tried"
    paid = [line for line in lines if line["complete"]]
    assert len(paid) == len(served)
    assert len(ledgers[0].getvalue().splitlines()) > len(served) // 2
    costs = [
        (usage["prompt_tokens"] * PRICES[0] + usage["completion_tokens"] * PRICES[1]) / 1e6
        for usage in answers
    ]
    assert sum(costs) == pytest.approx(sum(line["cost_usd"] for line in lines))
