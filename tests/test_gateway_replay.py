"""The cache behind the API: the same answer again, whole or as a stream, whichever came first."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openai
import pytest

from fusionfactory.gateway.replay import Assembly, chunks
from gateway_parts import Served, served_gateway
from stub_upstream import Knobs, StubUpstream, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("weather", "time")
]


@contextmanager
def gateway(state: Path) -> Iterator[tuple[Served, StubUpstream]]:
    with (
        stub_upstream(small=Knobs(text="one two three")) as stub,
        served_gateway(stub.url, state, cache={"entries": 10}) as served,
    ):
        yield served, stub


def whole(served: Served, **more: Any) -> dict[str, Any]:  # noqa: ANN401  any field
    answer = served.client().chat.completions.create(
        model="auto", temperature=0, messages=[{"role": "user", "content": "count"}], **more
    )
    found: dict[str, Any] = answer.model_dump(exclude_none=True)
    return found


def streamed(served: Served, **more: Any) -> dict[str, Any]:  # noqa: ANN401  any field
    """A streamed answer, put together again."""
    assembly = Assembly()
    stream = served.client().chat.completions.create(
        model="auto", temperature=0, messages=[{"role": "user", "content": "count"}],
        stream=True, stream_options={"include_usage": True}, **more,
    )  # fmt: skip
    model = ""
    for chunk in stream:
        model = chunk.model
        assembly.add(chunk.model_dump(exclude_none=True))
    return assembly.answer(model)


def said(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            choice["index"],
            choice["message"].get("content"),
            choice["message"].get("tool_calls"),
            choice["finish_reason"],
        )
        for choice in answer["choices"]
    ]


@pytest.mark.parametrize("more", [{}, {"tools": TOOLS}, {"n": 2}])
@pytest.mark.parametrize("order", [(whole, whole), (whole, streamed), (streamed, whole),
                                   (streamed, streamed)])  # fmt: skip
def test_the_same_question_is_answered_once(
    tmp_path: Path, order: tuple[Any, Any], more: dict[str, Any]
) -> None:
    with gateway(tmp_path) as (served, stub):
        first, again = (ask(served, **more) for ask in order)
        assert len(stub.ledger) == 1
        assert said(again) == said(first)
        assert again["usage"] == first["usage"]
        assert again["model"] == first["model"] == "small"
        assert served.last.cache == "hit"
        assert (served.last.cost_usd, served.last.arm) == (0.0, "small")


def test_a_stream_that_breaks_is_not_kept(tmp_path: Path) -> None:
    with gateway(tmp_path) as (served, stub):
        stub.models["small"].fault, stub.models["small"].faulty_calls = "cut", 1
        with pytest.raises(openai.APIError, match=r"stream|connection"):
            streamed(served)
        assert said(streamed(served))[0][1] == "one two three"
        assert served.last.cache == "miss"


def test_a_warm_answer_is_asked_for_again(tmp_path: Path) -> None:
    with gateway(tmp_path) as (served, stub):
        for _ in range(2):
            served.client().chat.completions.create(
                model="auto", temperature=1, messages=[{"role": "user", "content": "count"}]
            )
        assert len(stub.ledger) == 2
        assert served.last.cache == "off"


def test_an_answer_is_what_its_chunks_make() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer: dict[str, Any] = {
        "id": "x", "created": 1, "model": "m",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        "choices": [
            {"index": 0, "finish_reason": "stop", "logprobs": {"content": [{"token": "a"}]},
             "message": {"role": "assistant", "content": "a", "reasoning_content": "why"}},
            {"index": 1, "finish_reason": "tool_calls",
             "message": {"role": "assistant", "content": None, "tool_calls": [call, call]}},
        ],
    }  # fmt: skip
    assembly = Assembly()
    for chunk in chunks(answer):
        assembly.add(chunk)
    assert assembly.answer("m") == answer


def test_completions_are_put_together_too() -> None:
    answer = {
        "id": "x",
        "model": "m",
        "choices": [{"index": 0, "text": "a b", "finish_reason": "length"}],
    }
    assembly = Assembly()
    for chunk in chunks(answer):
        assembly.add(chunk)
    assert assembly.answer("m") == answer
