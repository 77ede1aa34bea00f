"""Chat messages of several vendors as text: what was asked, and what was answered.

A query's text is what the user said. System prompts are left out: they are the same for all
queries of an application and would make them look alike to a router. A conversation with one user
turn (one or more user messages and nothing else) is that turn; any other, with answers or tool
results in between, is rendered whole, `User: ...`, `Assistant: ...`, `Tool: ...`, for the last turn
alone would not say what was asked. Where all there is is a system prompt, that is the text. Images
and the like become `[image]`, a tool call `[calls NAME(ARGUMENTS)]`, reasoning is left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.importers.logs.values import decoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Message", "answer_text", "conversation", "query_text"]

_ROLES = {"developer": "system", "human": "user", "ai": "assistant", "model": "assistant",
          "function": "tool", "function_call": "assistant", "custom_tool_call": "assistant",
          "function_call_output": "tool", "custom_tool_call_output": "tool"}  # fmt: skip
_KNOWN = ("system", "user", "assistant", "tool")
_WRAPPERS = ("messages", "input", "contents", "prompt")
_SPOKEN = ("text", "input_text", "output_text", "refusal")
_CALLS = ("tool_call", "tool_use", "function_call", "custom_tool_call")
_RESULTS = ("tool_call_response", "tool_result", "function_call_output", "custom_tool_call_output")
_THOUGHTS = ("reasoning", "thinking", "redacted_thinking")
_MEDIA = ("image", "audio", "video", "file")


@dataclass(frozen=True, slots=True)
class Message:
    """One message, its parts as text.

    Attributes:
        role: `system`, `user`, `assistant` or `tool`.
        text: What it says; empty where it says nothing.
    """

    role: str
    text: str


def conversation(value: Any) -> list[Message]:  # noqa: ANN401  any JSON
    """The messages of what a log has as a call's input.

    Args:
        value: A text (a user's), a message, a list of messages, or an object that holds them under
            `messages`, `input`, `contents` or `prompt`; messages may be kept as JSON text. Any
            other object is text in JSON.
    """
    if isinstance(value, str):
        kept = decoded(value)
        return conversation(kept) if _holds_messages(kept) else _messages(value)
    if not value:
        return []
    if isinstance(value, list):
        inner = value[0] if len(value) == 1 and isinstance(value[0], list) else value
        return [message for item in inner for message in _messages(item)]
    if isinstance(value, dict) and "role" not in value:
        for name in _WRAPPERS:
            if value.get(name):
                return conversation(value[name])
    return _messages(value)


def query_text(messages: Sequence[Message]) -> str | None:
    """The text of the query that these messages are; None where they say nothing."""
    said = [message for message in messages if message.text.strip()]
    talk = [message for message in said if message.role != "system"] or said
    if len({message.role for message in talk}) == 1 and talk[0].role in {"user", "system"}:
        return "\n\n".join(message.text for message in talk)
    rendered = (f"{message.role.capitalize()}: {message.text}" for message in talk)
    return "\n\n".join(rendered) or None


def answer_text(value: Any) -> str | None:  # noqa: ANN401  any JSON
    """The text of an answer: a text, a message, or a list of messages or output items."""
    if value is None or isinstance(value, str):
        return value
    items = value if isinstance(value, list) else [value]
    texts = [message.text for item in items for message in _messages(item)]
    return _joined(texts) if texts else None


def _holds_messages(value: Any) -> bool:  # noqa: ANN401  any JSON
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) and "role" in item for item in value)
    return isinstance(value, dict) and bool(value.keys() & {"role", *_WRAPPERS})


def _messages(item: Any) -> list[Message]:  # noqa: ANN401  any JSON
    """One item as a message; none where it is reasoning only."""
    if not isinstance(item, dict):
        return [Message("user", _plain(item))] if item else []
    kind = item.get("type")
    if kind in _THOUGHTS:
        return []
    role = str(item.get("role") or kind or "user").lower()
    role = _ROLES.get(role, role)
    if "role" not in item and kind in (*_CALLS, *_RESULTS):
        return [Message(role, _part(item) or "")]
    if not item.keys() & {"role", "content", "parts", "text", "tool_calls", "type"}:
        return [Message("user", _plain(item))]
    content = next((item[n] for n in ("content", "parts", "text") if item.get(n) is not None), None)
    calls = item.get("tool_calls") or item.get("function_call") or []
    said = [_content(content), *map(_call, calls if isinstance(calls, list) else [calls])]
    return [Message(role if role in _KNOWN else "user", _joined(said))]


def _content(content: Any) -> str:  # noqa: ANN401  any JSON
    if content is None or isinstance(content, str):
        return content or ""
    parts = content if isinstance(content, list) else [content]
    return _joined(_part(part) or "" for part in parts)


def _part(part: Any) -> str | None:  # noqa: ANN401  any JSON
    """One part of a message's content as text; None for reasoning."""
    if not isinstance(part, dict):
        return _plain(part)
    kind = str(part.get("type") or "")
    if kind in _THOUGHTS:
        return None
    if kind in _CALLS:
        return _call(part)
    if kind in _RESULTS:
        names = ("response", "result", "output", "content")
        return _content(next((part[n] for n in names if part.get(n) is not None), None))
    if kind in _SPOKEN or not kind:
        names = ("text", "content", "refusal", "parts")
        said = next((part[n] for n in names if part.get(n) is not None), None)
        return _plain(part) if said is None and not kind else _content(said)
    media = str(part.get("modality") or kind)
    return f"[{next((name for name in _MEDIA if name in media), media)}]"


def _call(call: Any) -> str:  # noqa: ANN401  any JSON
    if not isinstance(call, dict):
        return _plain(call)
    function = call.get("function")
    what = function if isinstance(function, dict) else call
    given = next((what[n] for n in ("arguments", "input", "args") if what.get(n) is not None), "")
    return f"[calls {what.get('name', 'a tool')}({_plain(given)})]"


def _plain(value: Any) -> str:  # noqa: ANN401  any JSON
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _joined(texts: Iterable[str]) -> str:
    return "\n".join(text for text in texts if text)
