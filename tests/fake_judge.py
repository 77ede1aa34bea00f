"""A judge that answers from a function, and a small store for it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from fusionfactory.clients import ChatReply, ChatRequest
from fusionfactory.judge import Judge
from fusionfactory.pricing import CallPrice
from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Query, Score

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FakeClient", "block_of", "graded", "judge_of", "small_store"]

PRICE = CallPrice("fake", input_price=1.0, output_price=1.0)
TOKENS = 1_000
"""In and out per call: at a USD per million each, a call costs 0.002 USD."""


class FakeClient:
    """Answers with whatever the function returns or raises; remembers what it was asked."""

    concurrency = 1

    def __init__(self, answer: Callable[[ChatRequest], str]) -> None:
        self.answer = answer
        self.asked: list[ChatRequest] = []
        self.closed = 0

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.asked.append(request)
        await asyncio.sleep(0)  # lets the writer have its turn, as a real call does
        return ChatReply(self.answer(request), "stop", TOKENS, TOKENS, 0.1)

    def drop_waiting(self) -> None:
        """Nothing waits."""

    async def close(self) -> None:
        self.closed += 1


def judge_of(client: FakeClient, model: str = "strict", **options: Any) -> Judge:  # noqa: ANN401
    return Judge(model, client, PRICE, **options)


def block_of(request: ChatRequest, name: str) -> str:
    """What stands in the block of this name in the prompt."""
    text = str(request.messages[0]["content"])
    found = re.search(rf"<({name}-[0-9a-f]{{8}})>\n(.*?)\n</\1>", text, re.DOTALL)
    assert found, text
    return found[2]


def graded(by_response: dict[str, float]) -> Callable[[ChatRequest], str]:
    """Grades a response by the first of these texts that it contains."""

    def answer(request: ChatRequest) -> str:
        response = block_of(request, "response")
        score = next(value for text, value in by_response.items() if text in response)
        return json.dumps({"reason": f"it says {response[:10]}", "score": score})

    return answer


def small_store(folder: Path) -> Store:
    """Three questions of two tasks x two arms; one call failed, one response is empty."""
    store = Store(folder / "runs.db")
    store.add_queries([
        Query("q1", "What is 2 + 2?", task="sums", target="4", metric="number"),
        Query("q2", "What is 2 + 3?", task="sums", target="5", metric="number"),
        Query("q3", "Write a limerick.", task="verse", metric="judge"),
    ])  # fmt: skip
    store.add_arms([Arm("small"), Arm("big", "think")])
    store.append([
        Outcome("q1", "small", response="right: 4", scores=(Score("performance", 1.0),)),
        Outcome("q1", "big|think", response="right, for 2 + 2 = 4"),
        Outcome("q2", "small", response="wrong: 6", scores=(Score("performance", 0.0),)),
        Outcome("q2", "big|think", error="HTTP 500"),
        Outcome("q3", "small", response=" "),
        Outcome("q3", "big|think", response="right merry verse"),
    ])  # fmt: skip
    return store
