"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from fusionfactory.gateway.surface.answering import answer
from fusionfactory.gateway.surface.form import Request
from fusionfactory.gateway.surface.reading import expected, read_chat, read_own_fields
from fusionfactory.gateway.surface.sse import DONE, event
from fusionfactory.gateway.surface.tool_calls import ToolCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.surface.exchange import Exchange
    from fusionfactory.gateway.surface.form import Rendering

__all__ = ["ChatForm", "chat"]


async def chat(exchange: Exchange) -> None:
    """Answers a conversation."""
    await answer(exchange, read)


def read(exchange: Exchange, body: dict[str, Any], size: int, client: Client) -> Request:
    """The request in a body.

    Raises:
        Refusal: The body is malformed (400).
    """
    asked = read_own_fields(exchange, body, client)
    ask = read_chat(body, size, asked, client)
    messages = body["messages"]
    is_text = len(messages) == 1 and messages[0].get("content") == ask.text
    form = ChatForm(exchange.id, wants_usage(body))
    return Request("chat", "chat/completions", body, ask, form, None if is_text else messages)


def wants_usage(body: Mapping[str, Any]) -> bool:
    """Whether the client asked for usage in its stream.

    Raises:
        Refusal: `stream` or `stream_options` is of the wrong kind (400).
    """
    expected(body, "stream", bool)
    options = expected(body, "stream_options", dict) or {}
    return bool(options.get("include_usage"))


@dataclass(frozen=True, slots=True)
class ChatForm:
    """Chat completions, and the older completions, which differ in what a choice holds.

    Args:
        id: Of the request, for answers that come without an id.
        wants_usage: Whether a stream ends with the usage.
        is_chat: Whether choices hold messages or plain text.
    """

    id: str
    wants_usage: bool
    is_chat: bool = True

    def whole(self, document: dict[str, Any], model: str) -> dict[str, Any]:
        """The endpoint's answer under the gateway's name."""
        document["model"] = model
        document.setdefault("id", f"chatcmpl-{self.id}")
        document.setdefault("object", "chat.completion" if self.is_chat else "text_completion")
        document.setdefault("created", int(time.time()))
        return document

    def stream(self, model: str) -> Rendering:
        """The endpoint's chunks, mended."""
        return _ChatStream(self, model)


class _ChatStream:
    def __init__(self, form: ChatForm, model: str) -> None:
        self._form, self._model = form, model
        self._id: str | None = None
        self._created = int(time.time())
        self._usage: dict[str, Any] | None = None
        self._choices: dict[object, ToolCalls] = {}

    def begin(self) -> bytes:
        return b""

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        if self._id is None:
            self._id = chunk.get("id") or f"chatcmpl-{self._form.id}"
        chunk["id"], chunk["model"] = self._id, self._model
        chunk.setdefault(
            "object", "chat.completion.chunk" if self._form.is_chat else "text_completion"
        )
        chunk["created"] = chunk.get("created") or self._created
        choices = chunk.get("choices")
        usage = chunk.get("usage")
        if self._form.wants_usage:
            # Clients add up what they are told, so they are told it once.
            chunk["usage"] = None if choices else usage
        else:
            chunk.pop("usage", None)
        if not choices:
            if usage is None or not self._form.wants_usage:
                # Clients take the first choice of whatever comes.
                return b""
            self._usage = None
            chunk["choices"] = []
            return event(orjson.dumps(chunk))
        self._usage = usage or self._usage
        for choice in choices:
            self._mend(choice)
        return event(orjson.dumps(chunk))

    def _mend(self, choice: dict[str, Any]) -> None:
        choice.setdefault("finish_reason", None)
        index = choice.get("index")
        if type(index) is not int:
            index = choice["index"] = 0
        if not self._form.is_chat:
            return
        delta = choice.get("delta")
        if type(delta) is not dict:
            delta = choice["delta"] = {}
        calls = self._choices.get(index)
        if calls is None:
            calls = self._choices[index] = ToolCalls()
            delta.setdefault("role", "assistant")
        if type(delta.get("tool_calls")) is list:
            calls.mend(delta["tool_calls"])

    def end(self) -> bytes:
        """The usage, where it was asked for and came with a choice, and the end."""
        if self._usage is None or not self._form.wants_usage:
            return event(DONE)
        chunk: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion.chunk" if self._form.is_chat else "text_completion",
            "created": self._created,
            "model": self._model,
            "choices": [],
            "usage": self._usage,
        }
        return event(orjson.dumps(chunk)) + event(DONE)

    def fail(self, error: Mapping[str, Any]) -> bytes:
        return event(orjson.dumps({"error": error}))
