"""A response as it comes to be: its items, and the events that tell of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from fusionfactory.gateway.log.record import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Event", "Reply"]

Event: TypeAlias = dict[str, Any]
"""Content of a server-sent event; `type` is its kind."""

_DEFAULTS: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_PARTS = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text"}
"""Type of a part to its field."""
_EXTRAS: dict[str, dict[str, Any]] = {"output_text": {"annotations": [], "logprobs": []}}
"""Type of a part to the fields that clients expect of it besides."""
_LOGPROBS: dict[str, dict[str, Any]] = {"output_text": {"logprobs": []}}
"""Likewise, of its events."""


class Reply:
    """Grows by the deltas of a chat, and ends.

    Args:
        asked: The request.
        model: What answers, by the gateway's name.

    Attributes:
        response: The response so far.
    """

    def __init__(self, asked: Mapping[str, Any], model: str) -> None:
        told = {name: asked[name] for name in _DEFAULTS if asked.get(name) is not None}
        self.response: dict[str, Any] = {
            "id": new_id("resp"),
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            **_DEFAULTS,
            **told,
            "model": model,
            "output": [],
            "previous_response_id": None,
            "store": False,
            "usage": None,
        }
        self._sequence = 0
        self._places: dict[str, int] = {}
        self._speaking: dict[str, Any] | None = None
        self._calls: dict[int, dict[str, Any]] = {}

    def begin(self) -> list[Event]:
        """The first events of a stream."""
        return [self._whole("response.created"), self._whole("response.in_progress")]

    def add(self, delta: Mapping[str, Any]) -> list[Event]:
        """Adds a delta, or a whole message."""
        events: list[Event] = []
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        for item, part, text in (
            ("reasoning", "reasoning_text", thought),
            ("message", "output_text", delta.get("content")),
            ("message", "refusal", delta.get("refusal")),
        ):
            if isinstance(text, str) and text:
                events += self._say(item, part, text)
        calls = delta.get("tool_calls")
        for i, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                events += self._call(call, i)
        return events

    def end(self, finish_reason: object, usage: object) -> list[Event]:
        """The last events."""
        reason = _INCOMPLETE.get(finish_reason) if isinstance(finish_reason, str) else None
        status = "completed" if reason is None else "incomplete"
        events = self._close(status)
        self.response["status"] = status
        self.response["incomplete_details"] = None if reason is None else {"reason": reason}
        self.response["usage"] = _usage(usage)
        if reason is None:
            self.response["completed_at"] = int(time.time())
        return [*events, self._whole(f"response.{status}")]

    def fail(self, error: Mapping[str, Any]) -> list[Event]:
        """The last events of a stream that broke."""
        message = str(error.get("message"))
        self.response["status"] = "failed"
        self.response["error"] = {"code": "server_error", "message": message}
        said = {"code": error.get("code"), "message": message, "param": error.get("param")}
        return [self._whole("response.failed"), self._event("error", **said)]

    def _say(self, kind: str, part: str, text: str) -> list[Event]:
        events: list[Event] = []
        item = self._speaking
        if item is None or item["type"] != kind:
            events += self._hush("completed")
            item = self._speaking = self._new(kind)
            events.append(self._item("response.output_item.added", item))
        parts = item["content"]
        if not parts or parts[-1]["type"] != part:
            events += self._end_part(item)
            parts.append({"type": part, _PARTS[part]: "", **_EXTRAS.get(part, {})})
            events.append(self._in_part("response.content_part.added", item, part=_copy(parts[-1])))
        parts[-1][_PARTS[part]] += text
        told = _LOGPROBS.get(part, {})
        events.append(self._in_part(f"response.{part}.delta", item, delta=text, **told))
        return events

    def _call(self, call: Mapping[str, Any], i: int) -> list[Event]:
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        arguments = function.get("arguments")
        index = call.get("index")
        index = index if type(index) is int else i
        item, events = self._calls.get(index), []
        if item is None:
            events += self._hush("completed")
            item = self._calls[index] = self._new("function_call")
            item["call_id"] = call.get("id") or new_id("call")
            item["name"] = function.get("name") or ""
            events.append(self._item("response.output_item.added", item))
        if isinstance(arguments, str) and arguments:
            item["arguments"] += arguments
            kind = "response.function_call_arguments.delta"
            events.append(self._of(kind, item, delta=arguments))
        return events

    def _new(self, kind: str) -> dict[str, Any]:
        item: dict[str, Any] = {"type": kind, "status": "in_progress"}
        if kind == "message":
            item |= {"id": new_id("msg"), "role": "assistant", "content": []}
        elif kind == "reasoning":
            item |= {"id": new_id("rs"), "summary": [], "content": []}
        else:
            item |= {"id": new_id("fc"), "arguments": ""}
        self._places[item["id"]] = len(self.response["output"])
        self.response["output"].append(item)
        return item

    def _close(self, status: str) -> list[Event]:
        """Ends every item."""
        events = self._hush(status)
        for item in self._calls.values():
            item["status"] = status
            done = "response.function_call_arguments.done"
            told = {"arguments": item["arguments"], "name": item["name"]}
            events += [
                self._of(done, item, **told),
                self._item("response.output_item.done", item),
            ]
        return events

    def _hush(self, status: str) -> list[Event]:
        """Ends the message or the thought that is under way."""
        item, self._speaking = self._speaking, None
        if item is None:
            return []
        item["status"] = status
        return [*self._end_part(item), self._item("response.output_item.done", item)]

    def _end_part(self, item: dict[str, Any]) -> list[Event]:
        if not item["content"]:
            return []
        part = item["content"][-1]
        kind, field = part["type"], _PARTS[part["type"]]
        told = {field: part[field], **_LOGPROBS.get(kind, {})}
        return [
            self._in_part(f"response.{kind}.done", item, **told),
            self._in_part("response.content_part.done", item, part=_copy(part)),
        ]

    def _whole(self, kind: str) -> Event:
        return self._event(kind, response=self.response)

    def _item(self, kind: str, item: dict[str, Any]) -> Event:
        return self._event(kind, output_index=self._places[item["id"]], item=_copy(item))

    def _in_part(self, kind: str, item: dict[str, Any], **facts: Any) -> Event:  # noqa: ANN401
        return self._of(kind, item, content_index=len(item["content"]) - 1, **facts)

    def _of(self, kind: str, item: dict[str, Any], **facts: Any) -> Event:  # noqa: ANN401
        place = self._places[item["id"]]
        return self._event(kind, item_id=item["id"], output_index=place, **facts)

    def _event(self, kind: str, **facts: Any) -> Event:  # noqa: ANN401  any field of any event
        event = {"type": kind, "sequence_number": self._sequence, **facts}
        self._sequence += 1
        return event


def _copy(thing: dict[str, Any]) -> dict[str, Any]:
    """As it is now: what is told of in an event goes on growing."""
    content = {"content": [dict(part) for part in thing["content"]]} if "content" in thing else {}
    return {**thing, **content}


def _usage(usage: object) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    sent, received = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(sent, int) or not isinstance(received, int):
        return None
    return {
        "input_tokens": sent,
        "input_tokens_details": {
            "cached_tokens": _detail(usage, "prompt_tokens_details", "cached_tokens"),
            "cache_write_tokens": _detail(usage, "prompt_tokens_details", "cache_write_tokens"),
        },
        "output_tokens": received,
        "output_tokens_details": {
            "reasoning_tokens": _detail(usage, "completion_tokens_details", "reasoning_tokens")
        },
        "total_tokens": sent + received,
    }


def _detail(usage: dict[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    count = details.get(name) if isinstance(details, dict) else None
    return count if isinstance(count, int) else 0
