"""An endpoint that answers at once, or after a fixed delay, as cheaply as Python can.

    python benchmarks/gateway_stub.py [--port N] [--delay-ms D]

prints `{"url": "http://127.0.0.1:PORT/v1"}` and serves until it is stopped. A streamed answer has
sixteen pieces and a usage chunk. The same bytes go to every caller.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

import httptools
import uvloop

PIECES = 16
WORDS = "The quick brown fox jumps over the lazy dog and then it rests again . "
USAGE = {"prompt_tokens": 24, "completion_tokens": 16, "total_tokens": 40}


def _chunk(choices: list[dict[str, Any]], **more: object) -> bytes:
    fields = {
        "id": "chatcmpl-stub",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "stub",
        "choices": choices,
    }
    return b"data: " + json.dumps(fields | more).encode() + b"\n\n"


def _whole() -> bytes:
    message = {"role": "assistant", "content": WORDS}
    fields = {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": 1,
        "model": "stub",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": USAGE,
    }
    body = json.dumps(fields).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    return head.format(len(body)).encode() + body


def _events() -> list[bytes]:
    """The head, and every event in a chunk of its own."""
    words = WORDS.split(" ")[:PIECES]
    events = [_chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}}])]
    events += [_chunk([{"index": 0, "delta": {"content": f"{word} "}}]) for word in words]
    events.append(_chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    events += [_chunk([], usage=USAGE), b"data: [DONE]\n\n"]
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return [head, *(b"%x\r\n%b\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"]


ANSWER = _whole()
EVENTS = _events()


class Stub(asyncio.Protocol):
    """One connection."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.body = b""
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Parses what came."""
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Keeps a part of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Answers, after the delay."""
        stream = b'"stream":true' in self.body.replace(b" ", b"")
        self.body = b""
        if self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s, self.answer, stream)
        else:
            self.answer(stream)

    def answer(self, stream: bool) -> None:
        """Writes the answer; the pieces of a stream one by one."""
        if not self.transport.is_closing():
            for part in EVENTS if stream else (ANSWER,):
                self.transport.write(part)  # type: ignore[attr-defined]


async def _serve(port: int, delay_s: float) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: Stub(delay_s), "127.0.0.1", port, backlog=1024
    )
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    options = parser.parse_args()
    uvloop.run(_serve(options.port, options.delay_ms / 1000))
