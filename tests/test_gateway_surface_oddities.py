"""Answers that are odd but good, and requests that end in odd ways."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.gateway.access.keys import KeyFile
from gateway_parts import Raw, Served, served_gateway
from stub_upstream import Knobs, StubUpstream, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHAT: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "hello there"}]}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with stub_upstream(small=Knobs(), large=Knobs()) as stub:
        yield stub


@pytest.fixture
def served(stub: StubUpstream, tmp_path: Path) -> Iterator[Served]:
    with served_gateway(stub.url, tmp_path, max_body_bytes=100_000) as served:
        yield served


def post(served: Served, **more: Any) -> Raw:  # noqa: ANN401  any field
    return served.ask("POST", "/v1/chat/completions", {**CHAT, **more})


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> str:  # noqa: ANN401
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return f"data: {json.dumps({'id': 'x', 'choices': [choice], **more})}\n\n"


def chunks(answer: Raw) -> list[dict[str, Any]]:
    events = answer.body.decode().split("\n\n")
    return [json.loads(data[6:]) for data in events if data.startswith("data: {")]


SAID = [chunk({"role": "assistant", "content": "a"}), chunk({"content": "b"}), chunk({}, "stop")]


@pytest.mark.parametrize(
    "pieces",
    [
        ["".join(SAID) + "data: [DONE]\n\n: goodbye\n\n"],
        [*SAID, "data:   [DONE]  \n\n"],
        ["".join(SAID) + "data: [DO", "NE]\n\n: goodbye\n\n"],
        ["".join(SAID).replace("\n", "\r"), "data: [DONE]\r\r"],
        ["".join(SAID) + "data: [DONE]\n\n" + chunk({"content": "late"})],
    ],
)
def test_a_stream_that_ends_in_an_odd_way_has_ended_well(
    served: Served, stub: StubUpstream, pieces: list[str]
) -> None:
    stub.models["small"] = Knobs(raw=pieces, chunk_s=0.01)
    answer = post(served, stream=True)
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert served.last.response == "ab"
    assert [attempt.error for attempt in served.last.attempts] == [None]


def test_usage_may_come_with_null_for_choices(served: Served, stub: StubUpstream) -> None:
    last = f"data: {json.dumps({'id': 'x', 'choices': None, 'usage': USAGE})}\n\n"
    stub.models["small"] = Knobs(raw=[*SAID, last, "data: [DONE]\n\n"])
    answer = post(served, stream=True)
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert (served.last.input_tokens, served.last.output_tokens) == (10, 5)


def test_usage_that_comes_with_every_chunk_is_told_once(served: Served, stub: StubUpstream) -> None:
    pieces = [chunk({"content": "a"}, usage=USAGE), chunk({"content": "b"}, "stop", usage=USAGE)]
    stub.models["small"] = Knobs(raw=[*pieces, "data: [DONE]\n\n"])
    found = chunks(post(served, stream=True, stream_options={"include_usage": True}))
    assert [part["usage"] for part in found] == [None, None, USAGE]
    assert found[-1]["choices"] == []
    assert served.last.output_tokens == 5


@pytest.mark.parametrize("index", [None, [1], "0"])
def test_a_choice_without_a_number_is_the_first(
    served: Served, stub: StubUpstream, index: object
) -> None:
    choice = {"index": index, "delta": {"content": "a"}, "finish_reason": "stop"}
    said = f"data: {json.dumps({'choices': [choice]})}\n\n"
    stub.models["small"] = Knobs(raw=[said, "data: [DONE]\n\n"])
    assert [part["choices"][0]["index"] for part in chunks(post(served, stream=True))] == [0]
    assert (served.last.response, served.last.finish_reason) == ("a", "stop")


@pytest.mark.parametrize(
    "choice",
    [
        {"index": 0, "message": "text", "finish_reason": "stop"},
        {"index": [0], "message": {"content": "text"}, "finish_reason": "stop"},
        {"message": {"tool_calls": [{"index": [1], "function": {"name": "f"}}]}},
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_an_answer_in_an_odd_form_is_passed_on(
    served: Served, stub: StubUpstream, path: str, choice: dict[str, Any]
) -> None:
    stub.models["small"] = Knobs(raw=[json.dumps({"choices": [choice], "usage": USAGE})])
    asked = "input" if path.endswith("responses") else "prompt"
    answer = served.ask("POST", path, {**CHAT, asked: "hello"})
    assert (answer.status, served.last.arm) == (200, "small")
    assert served.last.output_tokens == 5


def test_choices_that_are_no_choices_are_asked_for_elsewhere(
    served: Served, stub: StubUpstream
) -> None:
    stub.models["small"] = Knobs(raw=['{"choices": ["text"]}'])
    assert post(served).headers["x-fusionfactory-arm"] == "large"
    assert "answered no choices" in str(served.last.attempts[0].error)


def test_an_error_without_a_message_has_one(served: Served, stub: StubUpstream) -> None:
    served.told.arms = ("small",)
    error = {"message": None, "code": "insufficient_quota"}
    stub.models["small"] = Knobs(raw=[json.dumps({"error": error})])
    told = post(served).json()["error"]
    assert told["message"].startswith("stub answered 502")
    assert told["code"] == "insufficient_quota"


def test_a_conversation_goes_on_with_the_arm_that_answered(
    served: Served, stub: StubUpstream
) -> None:
    post(served, prompt_cache_key="talk")
    assert served.told.moved == []
    stub.models["small"] = Knobs(fault="500")
    post(served, prompt_cache_key="talk")
    assert served.told.moved == [(served.last.session, "large")]
    assert served.last.session is not None


def test_an_answer_that_is_given_again_is_in_the_log(stub: StubUpstream, tmp_path: Path) -> None:
    with served_gateway(stub.url, tmp_path, cache={"entries": 10}) as served:
        post(served, temperature=0)
        again = post(served, temperature=0)
        assert again.headers["x-fusionfactory-decision"] == again.headers["x-request-id"]
        assert served.last.cache == "hit"
        assert served.last.response == "small says: hello there"
        assert served.last.finish_reason == "stop"


def test_a_key_embeds_by_its_own_models(stub: StubUpstream, tmp_path: Path) -> None:
    embeds = {"endpoint": "stub", "embeds": True, "strategies": []}
    models = (
        {"name": "small", "endpoint": "stub"},
        {"name": "one", **embeds},
        {"name": "two", **embeds},
    )
    _, secret = KeyFile(tmp_path).add("team", models=["two"])
    with served_gateway(stub.url, tmp_path, models=models, keys="required") as served:
        headers = {"authorization": f"Bearer {secret}"}
        asked = {"model": "auto", "input": "hello"}
        answer = served.ask("POST", "/v1/embeddings", asked, headers)
        assert (answer.status, answer.json()["model"]) == (200, "two")
        asked["model"] = "none"
        refused = served.ask("POST", "/v1/embeddings", asked, headers)
        assert refused.json()["error"]["message"].endswith("those that do: two")


def test_a_call_that_was_dropped_counts_against_the_budget(
    stub: StubUpstream, tmp_path: Path
) -> None:
    _, secret = KeyFile(tmp_path).add("team", usd_per_day=20e-6)
    with served_gateway(stub.url, tmp_path, keys="required") as served:
        headers = {"authorization": f"Bearer {secret}"}
        assert served.ask("POST", "/v1/chat/completions", CHAT, headers).status == 200
        assert served.last.cost_usd == pytest.approx(13e-6)
        stub.models["small"] = Knobs(latency_s=30.0)
        body = json.dumps(CHAT).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"authorization: Bearer {secret}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(head.encode() + body)
            stub.wait(lambda stub: len(stub.ledger) == 2)
        served.wait(lambda served: len(served.journal.records) == 2)
        assert served.last.attempts[0].cost_usd is None
        stub.models["small"] = Knobs()
        assert served.ask("POST", "/v1/chat/completions", CHAT, headers).status == 429


def test_whoever_sends_too_much_reads_why(served: Served) -> None:
    answer = served.ask("POST", "/v1/chat/completions", b"x" * 5_000_000)
    assert answer.status == 413
    assert answer.json()["error"]["code"] == "request_too_large"


def test_a_client_that_does_not_read_frees_its_call_at_the_deadline(
    stub: StubUpstream, tmp_path: Path
) -> None:
    stub.models["small"] = Knobs(raw=[chunk({"content": "x" * 1000}) * 200] * 100)
    body = json.dumps({**CHAT, "stream": True}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with (
        served_gateway(stub.url, tmp_path, upstream={"deadline_s": 0.3}) as served,
        socket.create_connection(("127.0.0.1", served.port)) as connection,
    ):
        connection.sendall(head.encode() + body)
        served.wait(lambda served: served.journal.records)
        assert "did not take the answer" in str(served.last.error)
        served.wait(lambda served: served.gateway.active == 0)
        states = served.gateway.upstreams.states()
        assert (states["stub/small"]["running"], states["stub/small"]["failures"]) == (0, 0)
