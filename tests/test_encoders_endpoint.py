from __future__ import annotations

import base64
import email.utils
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionfactory.encoders import make_encoder
from fusionfactory.encoders.cache import session_cache
from fusionfactory.encoders.endpoint import EndpointEncoder
from fusionfactory.errors import EncoderError, InputError
from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-secret-0123456789"


class FakeServer(ThreadingHTTPServer):
    """An embeddings endpoint: row = (characters, blanks). Answers `failures` first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.failures: list[tuple[int, dict[str, str], str]] = []
        self.style = "base64"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def answer(self, texts: list[str]) -> list[dict[str, Any]]:
        rows = [[float(len(text)), float(text.count(" "))] for text in texts]
        items: list[dict[str, Any]] = [{"index": i, "embedding": r} for i, r in enumerate(rows)]
        if self.style == "base64":
            for item in items:
                raw = np.array(item["embedding"], dtype="<f4").tobytes()
                item["embedding"] = base64.b64encode(raw).decode()
        if self.style == "short":
            items.pop()
        if self.style == "ragged":
            items[0]["embedding"] = [1.0]
        if self.style == "nan":
            items[0]["embedding"] = [float("nan"), 1.0]
        return items[::-1]


class Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.headers.append(dict(self.headers.items()))
        if self.server.failures:
            status, headers, text = self.server.failures.pop(0)
            return self._send(status, headers, text)
        if self.server.style == "words":
            return self._send(200, {}, "no JSON here")
        data = self.server.answer(body["input"])
        return self._send(200, {}, json.dumps({"object": "list", "data": data}))

    def _send(self, status: int, headers: dict[str, str], text: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    session_cache().close()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def encoder_of(server: FakeServer, **params: Any) -> EndpointEncoder:  # noqa: ANN401
    return EndpointEncoder(model="m", base_url=server.url, backoff_s=0.0, **params)


TEXTS = ["a b c", "", "abcdefgh", "a b", "a b c"]
ROWS = [[5, 2], [1, 1], [8, 0], [3, 1], [5, 2]]


@pytest.mark.parametrize("style", ["base64", "float"])
def test_rows_come_in_order_whatever_the_style(server: FakeServer, style: str) -> None:
    server.style = style
    encoder = make_encoder(f"endpoint:m@{server.url}")
    assert encoder.encode(TEXTS).tolist() == ROWS
    assert server.requests == [
        {"model": "m", "input": [" ", "a b", "a b c", "abcdefgh"], "encoding_format": "base64"}
    ]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert encoder.encode(TEXTS).tolist() == ROWS
    assert len(server.requests) == 1


def test_texts_go_in_batches_and_long_ones_are_cut(server: FakeServer) -> None:
    texts = ["x" * i for i in range(1, 12)]
    rows = encoder_of(server, batch=4, max_characters=9, dimensions=2).encode(texts)
    assert rows[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9]
    assert sorted(len(request["input"]) for request in server.requests) == [3, 4, 4]
    assert server.requests[0]["dimensions"] == 2


def test_busy_answers_are_tried_again(server: FakeServer) -> None:
    date = email.utils.formatdate(time.time() - 5, usegmt=True)
    server.failures = [
        (429, {"Retry-After": "0.05"}, "slow down"),
        (503, {"Retry-After": date}, "busy"),
        (500, {"Retry-After": "soon"}, "oops"),
    ]
    start = time.perf_counter()
    assert encoder_of(server).encode(TEXTS).tolist() == ROWS
    assert time.perf_counter() - start >= 0.05
    assert len(server.requests) == 4


def test_retries_end(server: FakeServer) -> None:
    server.failures = [(503, {}, "busy")] * 9
    with pytest.raises(EncoderError, match="answered 503: busy"):
        encoder_of(server, retries=2).encode(TEXTS)
    assert len(server.requests) == 3


def test_a_refusal_shows_no_key(server: FakeServer) -> None:
    server.failures = [(401, {}, f"Incorrect API key provided: {KEY}")]
    encoder = encoder_of(server)
    with pytest.raises(
        EncoderError, match=r"401 \(is \$OPENAI_API_KEY set.*provided: \*\*\*"
    ) as caught:
        encoder.encode(TEXTS)
    assert len(server.requests) == 1
    state = json.dumps(encoder.state()[0])
    for shown in (str(caught.value), repr(encoder), state, encoder.fingerprint()):
        assert KEY not in shown
    assert Estimator.from_state(*encoder.state()).params() == encoder.params()


def test_a_key_that_no_header_can_hold_is_not_shown(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sec\nret")
    with pytest.raises(EncoderError, match=r"^\$OPENAI_API_KEY holds characters that no key has$"):
        encoder_of(server).encode(TEXTS)


def test_no_key_where_none_is_set(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    encoder_of(server).encode(TEXTS)
    assert "Authorization" not in server.headers[0]


def test_redirects_are_not_followed(server: FakeServer) -> None:
    server.failures = [(307, {"Location": f"{server.url}/elsewhere"}, "")]
    with pytest.raises(EncoderError, match="answered 307"):
        encoder_of(server).encode(TEXTS)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ("short", "answered 3 rows for 4 texts"),
        ("ragged", r"rows of \[1, 2\] numbers, expected one length"),
        ("nan", "no finite numbers"),
        ("words", "answered no embeddings .* no JSON here"),
    ],
)
def test_answers_that_are_wrong(server: FakeServer, style: str, message: str) -> None:
    server.style = style
    with pytest.raises(EncoderError, match=message):
        encoder_of(server).encode(TEXTS)


def test_the_wrong_number_of_columns(server: FakeServer) -> None:
    with pytest.raises(EncoderError, match=r"rows of \[2\] numbers, expected 5 numbers each"):
        encoder_of(server, dimensions=5).encode(TEXTS)


def test_batches_before_a_failure_are_kept(server: FakeServer) -> None:
    server.failures = []
    encoder = encoder_of(server, batch=1, concurrency=1, retries=0)
    encoder.encode(TEXTS[:2])
    server.failures = [(400, {}, "too long")]
    with pytest.raises(EncoderError, match="answered 400: too long"):
        encoder.encode(TEXTS)
    server.requests.clear()
    assert encoder.encode(TEXTS).tolist() == ROWS
    asked = [request["input"][0] for request in server.requests]
    assert "a b c" not in asked
    assert " " not in asked


def test_nobody_listens() -> None:
    encoder = EndpointEncoder(
        model="m", base_url="http://127.0.0.1:9", retries=1, backoff_s=0.0, timeout_s=5.0
    )
    with pytest.raises(EncoderError, match=r"127\.0\.0\.1:9/embeddings cannot be reached"):
        encoder.encode(["a"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("endpoint:m", "expected endpoint:MODEL@URL"),
        ("endpoint:m@ftp://host", "expected endpoint:MODEL@URL"),
        (f"endpoint:m@https://user:{KEY}@host/v1", "expected endpoint:MODEL@URL"),
        (f"endpoint:m@https://host/v1?api-key={KEY}", "no password and no query"),
        ("endpoint:m@https://", "expected an http or https URL"),
        ("endpoint:m@https://[::1", "expected an http or https URL"),
    ],
)
def test_urls_that_cannot_be_used(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make_encoder(spec)
    assert KEY not in str(caught.value)


def test_a_url_with_a_password_is_refused_at_use() -> None:
    encoder = EndpointEncoder(model="m", base_url=f"https://user:{KEY}@host/v1")
    with pytest.raises(InputError, match="no password and no query") as caught:
        encoder.encode(["a"])
    assert KEY not in str(caught.value)
