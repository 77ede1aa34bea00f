"""A GGUF model in this process: what it answers, and what it says when it cannot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fusionfactory.clients import ChatReply, ChatRequest
from fusionfactory.clients.local import LocalClient
from fusionfactory.errors import CallError, ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def request(text: str, **params: object) -> ChatRequest:
    message = {"role": "user", "content": text}
    return ChatRequest("smollm2", (message,), {"temperature": 0.0, "max_tokens": 12, **params})


def ask(client: LocalClient, *requests: ChatRequest) -> list[ChatReply | CallError]:
    async def run() -> list[ChatReply | CallError]:
        replies: list[ChatReply | CallError] = []
        for one in requests:
            try:
                replies.append(await client.complete(one))
            except CallError as error:
                replies.append(error)
        await client.close()
        return replies

    return asyncio.run(run())


def test_it_answers_with_counts_and_the_same_twice(gguf: Path) -> None:
    question = request("What is the capital of France? Answer in one word.")
    one, two = ask(LocalClient(gguf, context_tokens=512, threads=1), question, question)
    assert isinstance(one, ChatReply)
    assert isinstance(two, ChatReply)
    assert "Paris" in one.text
    assert one.text == two.text
    assert one.input_tokens == two.input_tokens
    assert (one.input_tokens or 0) > 10
    assert 0 < (one.output_tokens or 0) <= 12
    assert one.finish_reason in {"stop", "length"}
    assert (one.latency_s or 0.0) > 0.0
    assert one.logprob is None


def test_it_tells_how_sure_it_is_where_it_is_asked(gguf: Path) -> None:
    question = request("What is the capital of France? Answer in one word.", logprobs=True)
    (reply,) = ask(LocalClient(gguf, context_tokens=512, threads=1), question)
    assert isinstance(reply, ChatReply)
    assert reply.logprob is not None
    assert -3.0 < reply.logprob < 0.0


def test_a_prompt_that_is_too_long_is_a_failed_call(gguf: Path) -> None:
    client = LocalClient(gguf, context_tokens=256, threads=1)
    failed, fine = ask(client, request("word " * 2000), request("Say hello."))
    assert isinstance(failed, CallError)
    assert "context" in str(failed)
    assert isinstance(fine, ChatReply)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    client = LocalClient(tmp_path / "absent.gguf")
    with pytest.raises(ConfigError, match=r"absent\.gguf, field 'gguf': no such model file"):
        asyncio.run(client.complete(request("Hi")))
