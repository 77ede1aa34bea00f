"""One HTTP request and its answer: reading within limits, and writing in OpenAI's form."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from fusionfactory.gateway.log.record import new_id
from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from fusionfactory.gateway.gateway import Gateway

__all__ = ["DEEPEST", "Exchange", "header_value"]

DEEPEST = 200
"""Brackets within brackets in a request; deeper ones could be read, and not be written again."""

_PAUSE_S = 30.0
"""Longest silence while a request is read."""

_PASSED_OVER = 64 * 2**20
_PASSED_OVER_S = 5.0
"""What is read of a request that is too long, and for how long: whoever still writes when the
connection is closed never reads why."""

_JSON = (b"content-type", b"application/json")
_EVENTS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx keeps a stream back otherwise.
    (b"x-accel-buffering", b"no"),
)
_GONE = "http.disconnect"


class Exchange:
    """A request that waits for its answer.

    Args:
        gateway: What answers it.
        scope: Of ASGI.
        receive: Likewise.
        send: Likewise.

    Attributes:
        id: Of the request; `x-request-id`.
        headers: Of the request, names in lower case; of several alike, the last one.
        at: Unix seconds at which it came.
        notes: Headers of the answer beside those that every answer has.
        begun: Whether the answer has.
        gone: Whether the client has left.
    """

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        self.gateway = gateway
        self.scope = scope
        self.id = new_id("req")
        self.at = time.time()
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self.notes: list[tuple[bytes, bytes]] = []
        self.begun = False
        self.gone = False
        self._unread = True
        self._started = time.perf_counter()
        self._receive, self._send = receive, send

    @property
    def elapsed_s(self) -> float:
        """Seconds since it came."""
        return time.perf_counter() - self._started

    @property
    def path_params(self) -> dict[str, Any]:
        """What the path says."""
        params: dict[str, Any] = self.scope.get("path_params", {})
        return params

    async def read(self) -> bytes:
        """The body.

        Raises:
            Refusal: It is too long (413), packed (415) or comes too slowly (408).
        """
        most = self.gateway.settings.max_body_bytes
        if self.headers.get("content-encoding", "identity") != "identity":
            msg = f"cannot read {self.headers['content-encoding']!r}: send the body as it is"
            raise Refusal(415, msg, code="unsupported_encoding")
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise _too_long(most)
        message = await self._next()
        if not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > most:
                raise _too_long(most)
            return body
        pieces, size = [message.get("body", b"")], len(message.get("body", b""))
        while message.get("more_body"):
            message = await self._next()
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > most:
                raise _too_long(most)
        return b"".join(pieces)

    async def _next(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_PAUSE_S):
                message = await self._receive()
        except TimeoutError:
            msg = f"nothing of the request's body came for {_PAUSE_S:g} s"
            raise Refusal(408, msg, code="request_timeout") from None
        if message["type"] == _GONE:
            self.gone = True
            msg = "the client left before its request was read"
            raise Refusal(499, msg, code="client_closed_request")
        self._unread = bool(message.get("more_body"))
        return dict(message)

    async def _pass_over(self) -> None:
        """Reads on, for a while, what nobody needs."""
        size = 0
        with contextlib.suppress(Refusal, TimeoutError):
            async with asyncio.timeout(_PASSED_OVER_S):
                while self._unread and size <= _PASSED_OVER:
                    size += len((await self._next()).get("body", b""))

    async def read_object(self) -> tuple[dict[str, Any], int]:
        """The JSON object in the body, and its length in bytes.

        Raises:
            Refusal: As `read`, or it is no JSON object (400).
        """
        body = await self.read()
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            msg = f"the body is no JSON: {error.msg} at character {error.pos}"
            raise Refusal(400, msg, code="invalid_json") from None
        if not isinstance(document, dict):
            msg = f"expected a JSON object, got {type(document).__name__}"
            raise Refusal(400, msg, code="invalid_json")
        if body.count(b"[") + body.count(b"{") > DEEPEST and _is_deep(document):
            msg = f"the body nests more than {DEEPEST} levels deep"
            raise Refusal(400, msg, code="invalid_json")
        return document, len(body)

    async def left(self) -> None:
        """Returns when the client has left; call it after the body was read."""
        while (await self._receive())["type"] != _GONE:
            pass
        self.gone = True

    def note(self, name: str, value: object) -> None:
        """Adds `x-fusionfactory-<name>` to the answer, unless the value is None."""
        if value is not None:
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)
            self.notes.append((b"x-fusionfactory-" + name.encode(), header_value(shown)))

    async def reply(
        self,
        document: Mapping[str, Any],
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answers with JSON."""
        own = [(name.encode(), header_value(value)) for name, value in (headers or {}).items()]
        await self.reply_bytes(orjson.dumps(document), status, [_JSON, *own])

    async def reply_bytes(
        self, body: bytes, status: int, headers: list[tuple[bytes, bytes]]
    ) -> None:
        """Answers with bytes."""
        length = (b"content-length", b"%d" % len(body))
        await self._begin(status, [*headers, length])
        await self._send({"type": "http.response.body", "body": body})

    async def begin_stream(self) -> None:
        """Begins to answer with server-sent events."""
        await self._begin(200, list(_EVENTS))

    async def write(self, events: bytes) -> None:
        """Sends a part of the stream."""
        await self._send({"type": "http.response.body", "body": events, "more_body": True})

    async def end(self, events: bytes) -> None:
        """Sends the last part of the stream."""
        await self._send({"type": "http.response.body", "body": events})

    async def refuse(self, refusal: Refusal) -> None:
        """Answers with an error, unless the answer has begun or nobody waits for it."""
        if self.begun or self.gone:
            return
        headers = dict(refusal.headers)
        if refusal.status in {408, 413}:
            # What is left of the request is not read.
            headers["connection"] = "close"
        if refusal.status == 413 and "expect" not in self.headers:
            await self._pass_over()
            if self.gone:
                return
        await self.reply(refusal.body(), refusal.status, headers=headers)

    async def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.begun = True
        headers += [(b"x-request-id", self.id.encode()), *self.notes]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


def header_value(text: str) -> bytes:
    """A header's value: the text, or, where no header can hold it, its percent-encoding."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return quote(text, safe=" !#$&'()*+,/:;=?@[]|~").encode()


def _too_long(most: int) -> Refusal:
    msg = (
        f"the request is longer than {most} bytes: send less, or raise max_body_bytes under [serve]"
    )
    return Refusal(413, msg, code="request_too_large")


def _is_deep(document: object) -> bool:
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
