from __future__ import annotations

import http.client
import json
import random
import socket
from typing import TYPE_CHECKING, Any

import openai
import pytest

from gateway_parts import Raw, Served, served_gateway
from stub_upstream import Fault, Knobs, StubUpstream, stub_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HELLO: list[Any] = [{"role": "user", "content": "hello there"}]
CHAT = {"model": "auto", "messages": HELLO}


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with stub_upstream(small=Knobs(), large=Knobs()) as stub:
        yield stub


@pytest.fixture
def served(stub: StubUpstream, tmp_path: Path) -> Iterator[Served]:
    limits = {"attempts": 2, "first_byte_s": 1.0, "idle_s": 0.3, "deadline_s": 60.0}
    with served_gateway(stub.url, tmp_path, upstream=limits, max_body_bytes=100_000) as served:
        served.told.arms = ("small",)
        yield served


def post(served: Served, body: bytes | Iterator[bytes], **headers: str) -> Raw:
    return served.ask("POST", "/v1/chat/completions", body, headers)


def error_of(response: Raw) -> dict[str, Any]:
    error = response.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert response.headers["x-request-id"].startswith("req_")
    assert isinstance(error, dict)
    return error


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"messages": HELLO}, "model", "'model' is missing: expected a text, not empty"),
        ({"model": 7, "messages": HELLO}, "model", "'model' cannot be 7"),
        ({"model": "auto"}, "messages", "'messages' is missing"),
        ({"model": "auto", "messages": []}, "messages", r"cannot be \[\]"),
        ({"model": "auto", "messages": "hello"}, "messages", "expected a list"),
        ({"model": "auto", "messages": ["hello"]}, "messages[0]", "an object with role"),
        ({**CHAT, "stream": "yes"}, "stream", "expected true or false"),
        ({**CHAT, "n": "2"}, "n", "expected a whole number"),
        ({**CHAT, "max_tokens": 1.5}, "max_tokens", "cannot be 1.5"),
        ({**CHAT, "stream_options": []}, "stream_options", "expected an object"),
        ({**CHAT, "fusionfactory": {"policy": "fast"}}, "policy", "fast"),
        ({**CHAT, "fusionfactory": "best"}, "fusionfactory", "expected an object"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(
    served: Served, stub: StubUpstream, body: dict[str, Any], param: str, says: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=says) as caught:
        served.client().post("/chat/completions", body=body, cast_to=object)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id is not None
    assert stub.ledger == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b'{"model": NaN}', b"\xff\xfe", b'{"a": "\\ud800"}', b"[" * 5000,
     b'{"model":"auto","messages":[' + b"[" * 300 + b"]" * 300 + b"]}"],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(served: Served, body: bytes) -> None:
    response = post(served, body)
    assert response.status == 400
    assert error_of(response)["code"] == "invalid_json"


def test_a_policy_in_the_body_is_checked_though_the_header_counts(served: Served) -> None:
    body = json.dumps({**CHAT, "fusionfactory": {"policy": "fast"}}).encode()
    response = post(served, body, **{"x-fusionfactory-policy": "best"})
    assert response.status == 400
    assert error_of(response)["code"] == "invalid_policy"


def test_a_misspelt_field_of_our_own_is_refused(served: Served) -> None:
    response = post(served, json.dumps({**CHAT, "fusionfactory": {"polcy": "best"}}).encode())
    assert response.status == 400
    assert (
        "no field 'polcy': expected policy, session, metric or task"
        in error_of(response)["message"]
    )


def test_a_body_that_is_too_long_or_packed_is_refused(served: Served) -> None:
    long = json.dumps({**CHAT, "more": "x" * 100_000}).encode()
    assert error_of(post(served, long))["code"] == "request_too_large"

    def pieces() -> Iterator[bytes]:
        yield from (long[i : i + 5000] for i in range(0, len(long), 5000))

    response = post(served, pieces())
    assert response.status == 413
    packed = post(served, b"x", **{"content-encoding": "gzip"})
    assert packed.status == 415
    assert "gzip" in error_of(packed)["message"]


def test_paths_and_methods_that_there_are_not_are_refused_in_the_same_form(served: Served) -> None:
    missing = served.ask("GET", "/v1/nothing")
    assert (missing.status, error_of(missing)["code"]) == (404, "not_found")
    wrong = served.ask("GET", "/v1/chat/completions")
    assert (wrong.status, error_of(wrong)["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


def test_a_key_is_asked_for_where_one_is_needed(stub: StubUpstream, tmp_path: Path) -> None:
    with served_gateway(stub.url, tmp_path, keys="required") as served:
        with pytest.raises(openai.AuthenticationError) as caught:
            served.client().chat.completions.create(model="auto", messages=HELLO)
        assert caught.value.type == "authentication_error"
        with pytest.raises(openai.AuthenticationError, match="key"):
            served.client().models.list()
        assert served.journal.records == []
        assert served.ask("GET", "/openapi.json").status == 200


def test_the_endpoints_own_refusal_is_passed_on(served: Served, stub: StubUpstream) -> None:
    stub.models["small"] = Knobs(fault="422")
    with pytest.raises(openai.UnprocessableEntityError, match="the stub answers 422") as caught:
        served.client().chat.completions.create(model="auto", messages=HELLO)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert (served.last.status, served.last.arm) == (422, None)
    assert served.last.error is not None
    assert len(stub.ledger) == 1, "what is wrong with a request is wrong the second time, too"


def test_a_limit_of_the_endpoint_says_when_to_come_back(served: Served, stub: StubUpstream) -> None:
    stub.models["small"] = Knobs(fault="429", headers={"retry-after": "7200"})
    with pytest.raises(openai.RateLimitError) as caught:
        served.client().chat.completions.create(model="auto", messages=HELLO)
    headers = caught.value.response.headers
    assert float(headers["retry-after"]) == pytest.approx(7200, abs=2)
    assert headers["x-should-retry"] == "false"
    assert headers["x-fusionfactory-decision"] == headers["x-request-id"] == served.last.id


@pytest.mark.parametrize("fault", ["cut", "late_error", "late_malformed", "unended", "stall"])
@pytest.mark.parametrize("path", ["chat/completions", "completions", "responses"])
def test_a_stream_that_breaks_ends_with_an_error_and_never_with_done(
    served: Served, stub: StubUpstream, fault: Fault, path: str
) -> None:
    stub.models["small"].fault = fault
    fields: dict[str, dict[str, Any]]
    fields = {"chat/completions": {"messages": HELLO}, "completions": {"prompt": "hello there"},
              "responses": {"input": "hello there"}}  # fmt: skip
    body = {"model": "auto", "stream": True, **fields[path]}
    response = served.ask("POST", f"/v1/{path}", body)
    text = response.body.decode()
    assert response.status == 200
    assert "small " in text
    assert "[DONE]" not in text
    assert "response.completed" not in text
    last = json.loads(text.strip().rpartition("data: ")[2])
    error = last if path == "responses" else last["error"]
    assert error["message"]
    served.wait(lambda s: s.journal.records)
    assert served.last.error == error["message"]
    assert (served.last.response or "").startswith("small ")
    assert served.last.cost_usd is None, "the endpoint did not say what it sent"


def test_the_official_client_sees_a_broken_stream_as_an_error(
    served: Served, stub: StubUpstream
) -> None:
    stub.models["small"].fault = "late_error"
    stream = served.client().chat.completions.create(model="auto", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="it broke in the middle"):
        list(stream)


@pytest.mark.parametrize("knobs", [Knobs(fault="endless"), Knobs(latency_s=30.0)])
def test_a_client_that_leaves_takes_its_call_along(
    served: Served, stub: StubUpstream, knobs: Knobs
) -> None:
    stub.models["small"] = knobs
    body = json.dumps({**CHAT, "stream": knobs.fault is not None})
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    connection.request("POST", "/v1/chat/completions", body)
    stub.wait(lambda s: s.ledger)
    if knobs.fault:
        connection.getresponse().read(100)
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    stub.wait(lambda s: s.ledger[0].gone)
    served.wait(lambda s: s.journal.records)
    assert served.last.status == 499
    assert served.last.error is not None
    assert "left" in served.last.error
    assert served.last.cost_usd is None
    served.wait(lambda s: s.gateway.active == 0)
    stub.models["small"] = Knobs()
    assert served.client().chat.completions.create(model="auto", messages=HELLO).model == "small"


def test_a_client_that_leaves_in_the_middle_of_its_request_leaves_nothing(served: Served) -> None:
    connection = socket.create_connection(("127.0.0.1", served.port))
    connection.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 50\r\n\r\n{"
    )
    served.wait(lambda s: s.gateway.active == 1)
    connection.close()
    served.wait(lambda s: s.gateway.active == 0)
    assert served.journal.records == []


KINDS: tuple[Any, ...] = (
    None, True, 0, -1, 2**70, 1.5, "", "x", "\u0000", [], {}, [[]], [None], [{}], {"a": {}}, "auto",
    [{"type": "text"}], [{"type": "image_url", "image_url": 7}], {"type": "json_schema"},
    [{"role": "user", "content": [{"type": ["x"]}, 7]}], [{"role": {}, "content": {}}],
    [{"role": "assistant", "tool_calls": [7]}], [{"type": "function"}], [{"type": "message"}],
    [{"type": "function_call", "name": "x", "arguments": "{}"}], [{"role": "user", "content": 7}],
)  # fmt: skip
FIELDS = (
    "model", "messages", "stream", "stream_options", "n", "max_tokens", "tools", "response_format",
    "fusionfactory", "prompt_cache_key", "prompt", "input", "instructions", "text", "reasoning",
    "tool_choice", "include", "top_logprobs", "max_output_tokens", "encoding_format",
    "conversation",
)  # fmt: skip
PATHS = ("chat/completions", "completions", "responses", "embeddings")
HEADERS = ("x-fusionfactory-policy", "x-fusionfactory-session", "authorization", "content-type",
           "content-encoding", "x-request-id", "accept", "expect")  # fmt: skip


def malformed(rng: random.Random) -> tuple[str, dict[str, str], bytes]:
    """A request that is wrong in some way, or in several."""
    fields: dict[str, Any] = {
        "model": rng.choice(["auto", "auto:0.2", "small", "none"]), "messages": HELLO,
        "prompt": "x", "input": "x",
    }  # fmt: skip
    for _ in range(rng.randint(0, 3)):
        fields[rng.choice(FIELDS)] = rng.choice(KINDS)
    body = json.dumps(fields).encode()
    for _ in range(rng.choice([0, 0, 1, 4])):
        at = rng.randrange(len(body))
        body = body[:at] + bytes([rng.randrange(256)]) + body[at + rng.randint(0, 2) :]
    if rng.random() < 0.1:
        body = body[: rng.randrange(len(body))]
    letters = [chr(code) for code in range(32, 127)] + ["\x80", "\xff"]
    headers = {
        rng.choice(HEADERS): "".join(rng.choices(letters, k=rng.randint(0, 30))).strip()
        for _ in range(rng.choice([0, 0, 1, 2]))
    }
    return rng.choice(PATHS), headers, body


def test_ten_thousand_malformed_requests_are_all_answered_and_none_breaks_anything(
    tmp_path: Path,
) -> None:
    rng = random.Random(7)  # noqa: S311  a test has to be the same every time
    seen: dict[int, int] = {}
    models = (
        {"name": "small", "endpoint": "stub"},
        {"name": "vectors", "endpoint": "stub", "embeds": True},
    )
    with served_gateway(None, tmp_path, models=models, routing=True) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10.0)
        for _ in range(10_000):
            path, headers, body = malformed(rng)
            connection.request("POST", f"/v1/{path}", body, {**headers})
            response = connection.getresponse()
            content = response.read()
            seen[response.status] = seen.get(response.status, 0) + 1
            assert response.status < 500, (path, headers, body, content)
            if response.status >= 400:
                assert json.loads(content)["error"]["message"], (path, headers, body)
        connection.close()
        served.wait(lambda s: s.gateway.active == 0)
        assert served.client().models.retrieve("auto").id == "auto"
    assert seen[200] > 1000
    assert seen[400] > 1000
    assert seen[404] > 100
