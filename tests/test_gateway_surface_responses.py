from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from fusionfactory.gateway.surface.responses.reply import Reply
from gateway_parts import Served, served_gateway
from stub_upstream import Knobs, StubUpstream, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOLS: list[Any] = [
    {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": True}
    for name in ("search", "read")
]


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with stub_upstream(small=Knobs(), large=Knobs()) as stub:
        yield stub


@pytest.fixture
def served(stub: StubUpstream, tmp_path: Path) -> Iterator[Served]:
    with served_gateway(stub.url, tmp_path) as served:
        yield served


def test_a_response_says_what_a_chat_does(served: Served, stub: StubUpstream) -> None:
    response = served.client().responses.create(
        model="auto", input="hello there", instructions="be brief", temperature=0.5,
        max_output_tokens=50, reasoning={"effort": "low"}, metadata={"a": "b"},
        text={"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}},
              "verbosity": "low"},
        extra_body={"top_k": 3}, truncation="auto",
    )  # fmt: skip
    assert response.output_text == "small says: hello there"
    assert (response.status, response.model, response.object) == ("completed", "small", "response")
    assert response.instructions == "be brief"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (10, 4)
    sent = stub.ledger[0].body
    assert sent == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hello there"},
        ],
        "temperature": 0.5,
        "max_completion_tokens": 50,
        "reasoning_effort": "low",
        "metadata": {"a": "b"},
        "verbosity": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"type": "object"}},
        },
        "top_k": 3,
    }
    assert served.told.asks[0].needs == {"json"}
    assert (served.last.api, served.last.text) == ("responses", "hello there")
    assert served.last.response == "small says: hello there"


def test_a_whole_conversation_can_be_sent(served: Served, stub: StubUpstream) -> None:
    items: list[Any] = [
        {"role": "developer", "content": "be kind"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "what is this?"},
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [
            {"type": "output_text", "text": "I look.", "annotations": []}
        ]},
        {"type": "function_call", "call_id": "a", "name": "search", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "read", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "a cat"},
        {"type": "function_call_output", "call_id": "b",
         "output": [{"type": "input_text", "text": "a dog"}]},
        {"role": "user", "content": "sure?"},
    ]  # fmt: skip
    served.client().responses.create(
        model="auto", input=items, tools=TOOLS, tool_choice={"type": "function", "name": "read"}
    )
    sent = stub.ledger[0].body
    assert sent["messages"] == [
        {"role": "developer", "content": "be kind"},
        {"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        ]},
        {"role": "assistant", "content": "I look.", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "search", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "read", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "a", "content": "a cat"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "a dog"}]},
        {"role": "user", "content": "sure?"},
    ]  # fmt: skip
    assert sent["tools"][0] == {
        "type": "function",
        "function": {"name": "search", "parameters": {"type": "object"}, "strict": True},
    }
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "read"}}
    assert served.told.asks[0].session is not None


def test_a_stream_tells_of_every_item_part_and_word(served: Served) -> None:
    events = list(served.client().responses.create(model="auto", input="hello", stream=True))
    assert [event.type for event in events] == [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added", *["response.output_text.delta"] * 3,
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if "delta" in event.type) == "small says: hello"
    assert events[-1].response.output_text == "small says: hello"
    assert events[-1].response.usage.total_tokens > 0
    assert events[0].response.id == events[-1].response.id


@pytest.mark.parametrize("tools", [[], TOOLS])
def test_the_official_client_puts_a_stream_together_as_the_response(
    served: Served, tools: list[Any]
) -> None:
    client = served.client()
    with client.responses.stream(model="auto", input="hello", tools=tools) as stream:
        streamed = stream.until_done().get_final_response()
    whole = client.responses.create(model="auto", input="hello", tools=tools)
    assert streamed.output_text == whole.output_text
    assert [item.type for item in streamed.output] == [item.type for item in whole.output]
    if tools:
        calls: list[Any] = list(streamed.output)
        assert [(call.name, call.call_id) for call in calls] == [
            ("search", "call_0"), ("read", "call_1"),
        ]  # fmt: skip
        assert {call.arguments for call in calls} == {'{"query": "hello"}'}


def test_what_needs_a_state_is_refused_and_says_so(served: Served, stub: StubUpstream) -> None:
    client = served.client()
    fields: dict[str, Any] = {
        "previous_response_id": "resp_1", "background": True, "conversation": "conv_1",
        "prompt": {"id": "p"},
    }  # fmt: skip
    for name, value in fields.items():
        with pytest.raises(openai.BadRequestError, match=name) as caught:
            client.responses.create(model="auto", input="x", **{name: value})
        assert caught.value.param == name
    with pytest.raises(openai.BadRequestError, match="item_reference"):
        client.responses.create(model="auto", input=[{"type": "item_reference", "id": "x"}])
    assert stub.ledger == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{"type": "reasoning"}], "instructions": "x"}, "input"),
        ({"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call", "name": "x"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": "x", "tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"input": "x", "tools": [{"type": "function"}]}, "name"),
        ({"input": "x", "tool_choice": {"type": "mcp"}}, "tool_choice"),
        ({"input": "x", "tool_choice": {"type": "function", "name": ""}}, "name"),
        ({"input": "x", "text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"input": "x", "max_output_tokens": "9"}, "max_output_tokens"),
        ({"input": "x", "max_output_tokens": 1e29}, "max_output_tokens"),
        ({"input": [{"type": {}, "role": "user", "content": "x"}]}, "input[0]"),
    ],
)
def test_what_cannot_be_a_chat_is_refused_with_its_place(
    served: Served, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError, match="expected") as caught:
        served.client().post("/responses", body={"model": "auto", **fields}, cast_to=object)
    assert caught.value.param == param


def test_a_cut_answer_is_incomplete_and_says_why() -> None:
    reply = Reply({}, "small")
    reply.add({"content": "so far"})
    kinds = [event["type"] for event in reply.end("length", None)]
    assert kinds[-1] == "response.incomplete"
    assert reply.response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert reply.response["output"][0]["status"] == "incomplete"
    assert reply.response["usage"] is None


def test_thoughts_words_refusals_and_calls_are_items_in_their_order() -> None:
    reply = Reply({}, "small")
    kinds = []
    for delta in (
        {"reasoning_content": "hm"}, {"reasoning": "m"}, {"content": "yes"}, {"refusal": "no"},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
    ):  # fmt: skip
        kinds += [event["type"] for event in reply.add(delta)]
    reply.end("tool_calls", {"prompt_tokens": 1, "completion_tokens": 2})
    thought, message, call = reply.response["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "hmm"}]
    assert [part.get("text", part.get("refusal")) for part in message["content"]] == ["yes", "no"]
    assert (call["arguments"], call["call_id"], call["status"]) == ("{}", "a", "completed")
    assert kinds.count("response.output_item.added") == 3
    assert kinds.count("response.output_item.done") == 2, "the call ends with the response"
    json.dumps(reply.response)
