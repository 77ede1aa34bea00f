from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.clients import ChatReply, ChatRequest, ReplayClient
from fusionfactory.errors import CallError, TableError
from fusionfactory.store import Store
from fusionfactory.table import OutcomeTable
from fusionfactory.tasks import Task
from fusionfactory.testing import make_table
from fusionfactory.types import Arm, Outcome, Query

if TYPE_CHECKING:
    from pathlib import Path


def replay(client: ReplayClient, model: str, *contents: object) -> ChatReply:
    messages = tuple({"role": "user", "content": content} for content in contents)
    return asyncio.run(client.complete(ChatRequest(model, messages)))


@pytest.fixture
def log(tmp_path: Path) -> Store:
    store = Store(tmp_path / "log.db")
    store.add_queries([Query("q1", "What is 7 * 8?", "sums"), Query("q2", "Who?", "facts")])
    store.add_arms([Arm("a"), Arm("a", "think"), Arm("b")])
    store.append(
        [
            Outcome("q1", "a|think", response="thought", input_tokens=3, output_tokens=9),
            Outcome("q1", "a", 1, response="second"),
            Outcome("q1", "a", response="56", latency_s=0.5, finish_reason="stop"),
            Outcome("q2", "a", error="answered 400: no", input_tokens=4, output_tokens=0),
            Outcome("q2", "b", response=""),
            Outcome("q1", "b", response="57"),
        ]
    )
    return store


def test_a_store_is_played_back(log: Store) -> None:
    client = ReplayClient(log)
    reply = replay(client, "a", "What is 7 * 8?")
    assert reply == ChatReply("56", finish_reason="stop", latency_s=0.5)
    assert replay(client, "b", "What is 7 * 8?").text == "57"
    assert replay(client, "a|think", "What is 7 * 8?") == ChatReply(
        "thought", input_tokens=3, output_tokens=9
    )
    assert replay(client, "b", [{"type": "text", "text": "What is 7 * 8?"}]).text == "57"
    with pytest.raises(CallError, match=r"^answered 400: no$") as caught:
        replay(client, "a", "Who?")
    assert (caught.value.input_tokens, caught.value.retryable) == (4, False)
    with pytest.raises(CallError, match="the log has an empty answer"):
        replay(client, "b", "Who?")
    asyncio.run(client.close())
    log.close()


def test_the_prompts_that_were_sent_find_their_strategy(log: Store) -> None:
    task = Task("sums", "math", "number", "Sums.", "Answer with a number.", lambda _, __: None)
    client = ReplayClient(log, prompt=task.messages, concurrency=3)
    direct = "What is 7 * 8?\n\nAnswer with a number."
    assert replay(client, "a", direct).text == "56"
    assert replay(client, "a", f"{direct}\n\nLet's think step by step.").text == "thought"
    assert client.concurrency == 3
    log.close()


@pytest.mark.parametrize(("model", "text"), [("c", "Who?"), ("a", "What?"), ("a|think", "Who?")])
def test_what_the_log_does_not_hold(log: Store, model: str, text: str) -> None:
    client = ReplayClient(log)
    assert len(client) == 5
    with pytest.raises(CallError, match=r"the log has no answer of '.*' to 'Wh") as caught:
        replay(client, model, text)
    assert not caught.value.retryable
    log.close()


def test_a_table_is_played_back(log: Store) -> None:
    table = log.table()
    assert isinstance(table, OutcomeTable)
    client = ReplayClient(table)
    assert replay(client, "a", "What is 7 * 8?") == ChatReply("56", latency_s=0.5)
    assert replay(client, "a|think", "What is 7 * 8?").output_tokens == 9
    with pytest.raises(CallError, match="the log has no answer"):
        replay(client, "a", "Who?")
    log.close()


def test_how_sure_an_arm_was_is_played_back(log: Store) -> None:
    table = log.table()
    sure = replace(table, logprob=np.full(table.quality.shape, -0.25))
    assert replay(ReplayClient(table), "a", "What is 7 * 8?").logprob is None
    assert replay(ReplayClient(sure), "a", "What is 7 * 8?").logprob == -0.25
    log.upsert([Outcome(next(log.queries()).id, "a", response="56", logprob=-0.5)])
    assert replay(ReplayClient(log), "a", "What is 7 * 8?").logprob == -0.5
    log.close()


def test_a_table_without_responses() -> None:
    table = make_table(10)
    if table.responses is not None:
        table = OutcomeTable.from_long(table.to_long().drop("response"))
    with pytest.raises(TableError, match="holds no responses to play back"):
        ReplayClient(table)
