"""From a request for a response to a conversation, and from its answer to a response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from fusionfactory.gateway.surface.answering import answer
from fusionfactory.gateway.surface.form import Request
from fusionfactory.gateway.surface.reading import read_chat, read_own_fields
from fusionfactory.gateway.surface.responses.reading import to_chat
from fusionfactory.gateway.surface.responses.reply import Reply
from fusionfactory.gateway.surface.sse import event
from fusionfactory.gateway.surface.tool_calls import ToolCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.surface.exchange import Exchange
    from fusionfactory.gateway.surface.form import Rendering
    from fusionfactory.gateway.surface.responses.reply import Event

__all__ = ["responses"]


async def responses(exchange: Exchange) -> None:
    """Answers what is asked for as a response."""
    await answer(exchange, _read)


def _read(exchange: Exchange, body: dict[str, Any], size: int, client: Client) -> Request:
    asked = read_own_fields(exchange, body, client)
    chat = to_chat(body)
    ask = read_chat(chat, size, asked, client)
    return Request(
        "responses", "chat/completions", chat, ask, _ResponseForm(body), chat["messages"]
    )


@dataclass(frozen=True, slots=True)
class _ResponseForm:
    """Responses to a request."""

    asked: dict[str, Any]

    def whole(self, document: dict[str, Any], model: str) -> dict[str, Any]:
        reply = Reply(self.asked, model)
        choices = document.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict):
            reply.add(message)
        reply.end(choice.get("finish_reason"), document.get("usage"))
        return reply.response

    def stream(self, model: str) -> Rendering:
        return _ResponseStream(Reply(self.asked, model))


class _ResponseStream:
    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._calls = ToolCalls()
        self._usage: object = None
        self._finish_reason: object = None

    def begin(self) -> bytes:
        return _bytes(self._reply.begin())

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        self._usage = chunk.get("usage") or self._usage
        sent = b""
        for choice in chunk.get("choices") or ():
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            delta = choice.get("delta")
            if isinstance(delta, dict):
                if isinstance(delta.get("tool_calls"), list):
                    self._calls.mend(delta["tool_calls"])
                sent += _bytes(self._reply.add(delta))
        return sent

    def end(self) -> bytes:
        return _bytes(self._reply.end(self._finish_reason, self._usage))

    def fail(self, error: Mapping[str, Any]) -> bytes:
        return _bytes(self._reply.fail(error))


def _bytes(events: list[Event]) -> bytes:
    return b"".join(event(orjson.dumps(content), str(content["type"])) for content in events)
