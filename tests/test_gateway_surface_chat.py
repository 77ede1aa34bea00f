from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from gateway_parts import Served, served_gateway
from stub_upstream import Knobs, StubUpstream, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HELLO: list[Any] = [{"role": "user", "content": "hello there"}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("search", "read")
]
PICTURE = "data:image/png;base64," + "iVBORw0KGgo" * 4000


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with stub_upstream(small=Knobs(), large=Knobs()) as stub:
        yield stub


@pytest.fixture
def served(stub: StubUpstream, tmp_path: Path) -> Iterator[Served]:
    with served_gateway(stub.url, tmp_path) as served:
        yield served


def test_an_answer_says_who_gave_it_and_why(served: Served) -> None:
    raw = served.client().chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    answer = raw.parse()
    assert answer.model == "small"
    assert answer.choices[0].message.content == "small says: hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert {
        name: raw.headers[f"x-fusionfactory-{name}"]
        for name in ("arm", "router", "policy", "why", "expected-quality", "expected-cost-usd")
    } == {
        "arm": "small", "router": "v7", "policy": "balance", "why": "best",
        "expected-quality": "0.75", "expected-cost-usd": "0.002",
    }  # fmt: skip
    assert raw.headers["x-request-id"] == raw.headers["x-fusionfactory-decision"]
    assert float(raw.headers["x-fusionfactory-cost-usd"]) == pytest.approx(13e-6)


def test_a_request_is_recorded_with_what_it_cost(served: Served, stub: StubUpstream) -> None:
    raw = served.client().chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    record = served.last
    assert record.id == raw.headers["x-request-id"]
    assert (record.api, record.asked, record.arm, record.status) == ("chat", "auto", "small", 200)
    assert (record.text, record.messages) == ("hello there", None)
    assert record.response == "small says: hello there"
    assert (record.chosen, record.propensity, record.router) == ("small", 0.9, "v7")
    assert (record.input_tokens, record.output_tokens) == (5, 4)
    stub.wait(lambda stub: stub.ledger[0].ended)
    assert record.cost_usd == pytest.approx(stub.cost_usd)
    assert record.attempts[0].cost_usd == record.cost_usd
    assert record.latency_s is not None
    assert record.upstream_s is not None
    assert 0 < record.upstream_s < record.latency_s


def test_a_stream_is_a_role_words_a_reason_and_an_end(served: Served) -> None:
    chunks = list(
        served.client().chat.completions.create(model="auto", messages=HELLO, stream=True)
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.role for chunk in chunks[1:]] == [None] * (len(chunks) - 1)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == (
        "small says: hello there"
    )
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 5 + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {"small"}
    assert all(chunk.usage is None and "usage" not in chunk.to_dict() for chunk in chunks)


def test_the_end_of_a_stream_is_done(served: Served) -> None:
    with served.client().chat.completions.with_streaming_response.create(
        model="auto", messages=HELLO, stream=True
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-fusionfactory-arm"] == "small"
        body = response.read()
    assert body.endswith(b"data: [DONE]\n\n")
    assert body.count(b"[DONE]") == 1


@pytest.mark.parametrize("where", ["chunk", "last"])
@pytest.mark.parametrize("asked", [True, False])
def test_usage_comes_to_who_asked_and_always_to_the_log(
    served: Served, stub: StubUpstream, where: Literal["chunk", "last"], asked: bool
) -> None:
    stub.models["small"].usage = where
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    chunks = list(
        served.client().chat.completions.create(
            model="auto", messages=HELLO, stream=True, **options
        )
    )
    told = [chunk.usage.total_tokens for chunk in chunks if chunk.usage]
    assert stub.ledger[0].body["stream_options"] == {"include_usage": True}
    if asked:
        assert chunks[-1].choices == []
        assert set(told) == {9}
        assert chunks[-1].usage is not None
    else:
        assert told == []
        assert all(chunk.choices for chunk in chunks)
    stub.wait(lambda stub: stub.ledger[0].ended)
    assert served.last.cost_usd == pytest.approx(stub.cost_usd)


@pytest.mark.parametrize("stream", [True, False])
def test_a_cost_without_usage_is_unknown(served: Served, stub: StubUpstream, stream: bool) -> None:
    stub.models["small"].usage = "never"
    answer = served.client().chat.completions.create(model="auto", messages=HELLO, stream=stream)
    if stream:
        list(answer)
    assert served.last.cost_usd is None
    assert served.last.output_tokens is None
    assert served.last.status == 200


def test_parallel_tool_calls_keep_their_indexes_and_their_reason(served: Served) -> None:
    chunks = list(
        served.client().chat.completions.create(
            model="auto", messages=HELLO, tools=TOOLS, stream=True
        )
    )
    calls: dict[int, dict[str, str]] = {}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            known = calls.setdefault(call.index, {"id": "", "name": "", "arguments": ""})
            known["id"] += call.id or ""
            known["name"] += call.function.name or ""
            known["arguments"] += call.function.arguments or ""
    arguments = '{"query": "hello there"}'
    assert calls == {
        0: {"id": "call_0", "name": "search", "arguments": arguments},
        1: {"id": "call_1", "name": "read", "arguments": arguments},
    }
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert served.last.finish_reason == "tool_calls"
    assert served.last.response is not None
    assert '"search"' in served.last.response
    assert served.told.asks[0].needs == {"tools"}


def test_tool_calls_of_a_whole_answer_are_untouched(served: Served) -> None:
    answer = served.client().chat.completions.create(model="auto", messages=HELLO, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [call.id for call in answer.choices[0].message.tool_calls or ()] == ["call_0", "call_1"]


def test_several_choices_with_log_probabilities_pass(served: Served) -> None:
    client = served.client()
    answer = client.chat.completions.create(model="auto", messages=HELLO, n=2, logprobs=True)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[1].logprobs is not None
    assert served.last.logprob == -0.5
    chunks = list(
        client.chat.completions.create(
            model="auto", messages=HELLO, n=2, logprobs=True, stream=True
        )
    )
    roles = [c.choices[0].index for c in chunks if c.choices[0].delta.role]
    assert roles == [0, 1]
    assert served.told.asks[0].needs == {"n", "logprobs"}
    assert (served.last.response, served.last.logprob) == ("small says: hello there", -0.5)
    client.chat.completions.create(model="auto", messages=HELLO)
    assert served.last.logprob is None


def test_unknown_fields_reach_the_endpoint_untouched(served: Served, stub: StubUpstream) -> None:
    extra = {"reasoning_effort": "low", "metadata": {"a": "b"}, "store": True, "top_k": 7,
             "max_completion_tokens": 99, "parallel_tool_calls": False}  # fmt: skip
    served.client().chat.completions.create(
        model="auto",
        messages=HELLO,
        extra_body={**extra, "fusionfactory": {"policy": "best", "session": "s"}},
    )
    sent = stub.ledger[0].body
    assert {name: sent[name] for name in extra} == extra
    assert "fusionfactory" not in sent
    ask = served.told.asks[0]
    assert ask.policy is not None
    assert ask.policy.name == "performance"
    assert ask.output_tokens == 99


def test_developers_parts_pictures_and_tools_can_be_routed(
    served: Served, stub: StubUpstream
) -> None:
    messages: list[Any] = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": PICTURE}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "a", "content": "a cat"},
        {"role": "user", "content": "sure?"},
    ]  # fmt: skip
    served.client().chat.completions.create(model="auto", messages=messages)
    assert stub.ledger[0].body["messages"] == messages
    ask = served.told.asks[0]
    assert ask.text == "what is this?\nsure?"
    assert ask.needs == {"images", "tools"}
    assert 700 < ask.input_tokens < 1200, "a picture is not as many tokens as its bytes"
    assert served.last.messages == messages


def test_a_conversation_is_known_by_its_beginning_its_key_or_its_name(served: Served) -> None:
    client = served.client()
    first: list[Any] = [{"role": "system", "content": "s"}, *HELLO]
    later = [*first, {"role": "assistant", "content": "x"}, {"role": "user", "content": "more"}]
    latest = [*later, {"role": "assistant", "content": "y"}, {"role": "user", "content": "end"}]
    other = [{"role": "system", "content": "t"}, *latest[1:]]
    for messages in (first, later, latest, other):
        client.chat.completions.create(model="auto", messages=messages)
    sessions = [ask.session for ask in served.told.asks]
    assert sessions[0] is None
    assert sessions[1] == sessions[2] is not None
    assert sessions[3] not in {None, sessions[1]}

    client.chat.completions.create(model="auto", messages=HELLO, prompt_cache_key="mine")
    client.chat.completions.create(
        model="auto", messages=HELLO, extra_headers={"x-fusionfactory-session": "mine"}
    )
    client.chat.completions.create(
        model="auto", messages=HELLO, extra_body={"fusionfactory": {"session": "mine"}}
    )
    named = {ask.session for ask in served.told.asks[4:]}
    assert len(named) == 1
    assert "mine" not in str(named)


def test_a_policy_may_come_by_header(served: Served) -> None:
    headers = {"x-fusionfactory-policy": "price:0.002"}
    served.client().chat.completions.create(model="auto", messages=HELLO, extra_headers=headers)
    policy = served.told.asks[0].policy
    assert policy is not None
    assert policy.name == "price:0.002"


@pytest.mark.parametrize("stream", [True, False])
def test_another_arm_answers_where_the_first_fails(
    served: Served, stub: StubUpstream, stream: bool
) -> None:
    stub.models["small"].fault = "500"
    raw = served.client().chat.completions.with_raw_response.create(
        model="auto", messages=HELLO, stream=stream
    )
    assert raw.headers["x-fusionfactory-arm"] == "large"
    answer = raw.parse()
    if stream:
        assert {chunk.model for chunk in answer} == {"large"}
    record = served.last
    assert (record.chosen, record.arm, record.status) == ("small", "large", 200)
    assert [attempt.arm for attempt in record.attempts][-1] == "large"
    assert record.cost_usd == pytest.approx(
        (stub.ledger[-1].input_tokens * 10 + stub.ledger[-1].output_tokens * 20) / 1e6
    )


def test_an_answer_is_given_again_where_that_is_wanted(stub: StubUpstream, tmp_path: Path) -> None:
    with served_gateway(stub.url, tmp_path, cache={"entries": 10}) as served:
        client = served.client()
        chats = client.chat.completions.with_raw_response
        first, again = (chats.create(model="auto", messages=HELLO, temperature=0) for _ in range(2))
        assert first.parse() == again.parse()
        assert again.headers["x-fusionfactory-cache"] == "hit"
        assert again.headers["x-fusionfactory-arm"] == "small"
        assert len(stub.ledger) == 1
        record = served.last
        assert (record.cache, record.cost_usd, record.arm) == ("hit", 0.0, "small")
        assert (record.attempts, record.propensity) == ([], None)
        assert served.journal.records[0].cache == "miss"
        chats.create(model="auto", messages=HELLO)
        assert (len(stub.ledger), served.last.cache) == (2, "off")
        said = client.responses.create(model="auto", input="hello there", temperature=0)
        again_said = client.responses.create(model="auto", input="hello there", temperature=0)
        assert said.model == again_said.model == "small"
        assert said.output_text == again_said.output_text == "small says: hello there"


def test_an_answer_of_the_gateways_own_router_says_that_there_is_none(
    stub: StubUpstream, tmp_path: Path
) -> None:
    with served_gateway(stub.url, tmp_path, routing=True) as served:
        client = served.client()
        assert client.chat.completions.create(model="auto:0.3", messages=HELLO).model == "small"
        assert client.chat.completions.create(model="large", messages=HELLO).model == "large"
        assert [record.why for record in served.journal.records] == ["default", "fixed"]
        assert served.last.router is None
