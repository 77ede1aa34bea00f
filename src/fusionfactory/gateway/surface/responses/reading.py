"""A request for a response, as a request for a chat completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.surface.reading import expected
from fusionfactory.gateway.surface.responses.items import to_messages

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["to_chat"]

_STATEFUL = ("previous_response_id", "background", "conversation", "prompt")
_READ = {
    "input", "instructions", "tools", "tool_choice", "text", "reasoning", "max_output_tokens",
    "include", "top_logprobs", "stream_options",
}  # fmt: skip
_MEANINGLESS = {
    "truncation", "max_tool_calls", "context_management", "prompt_cache_options",
    "background_options", "access_programs", "moderation", "image", *_STATEFUL,
}  # fmt: skip
"""What a chat has no field for: an endpoint would refuse it."""

_LOGPROBS = "message.output_text.logprobs"


def to_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """The chat request; fields of the same name and meaning, and unknown ones, are taken over.

    Raises:
        Refusal: It needs what was said before, or something that a chat cannot do (400).
    """
    for name in _STATEFUL:
        value = body.get(name)
        if value is not None and not (name == "background" and value is False):
            msg = (
                f"{name!r} cannot be used: the gateway keeps no responses. Send the whole "
                "conversation as `input`"
            )
            raise Refusal(400, msg, code="unsupported_parameter", param=name)
    chat = {name: body[name] for name in body if name not in _READ | _MEANINGLESS}
    chat["messages"] = to_messages(body.get("input"), expected(body, "instructions", str))
    tools = expected(body, "tools", list)
    if tools:
        chat["tools"] = [_tool(tool, i) for i, tool in enumerate(tools)]
    if body.get("tool_choice") is not None:
        chat["tool_choice"] = _tool_choice(body["tool_choice"])
    text = expected(body, "text", dict) or {}
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    format_ = expected(text, "format", dict)
    if format_ is not None and format_.get("type") != "text":
        chat["response_format"] = _response_format(format_)
    effort = (expected(body, "reasoning", dict) or {}).get("effort")
    if effort is not None:
        chat["reasoning_effort"] = effort
    limit = expected(body, "max_output_tokens", int)
    if limit is not None:
        chat["max_completion_tokens"] = limit
    count = expected(body, "top_logprobs", int)
    if count or _LOGPROBS in (expected(body, "include", list) or ()):
        chat["logprobs"], chat["top_logprobs"] = True, count or 0
    expected(body, "stream", bool)
    return chat


def _tool(tool: object, i: int) -> dict[str, Any]:
    """A function, which chats hold in a field of its own."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or kind != "function":
        msg = f"tools[{i}] is of the type {kind!r}: expected 'function', the only one offered here"
        raise Refusal(400, msg, code="unsupported_tool", param=f"tools[{i}]")
    expected(tool, "name", str, needed=True)
    function = {name: value for name, value in tool.items() if name != "type" and value is not None}
    return {"type": "function", "function": function}


def _tool_choice(choice: object) -> object:
    if isinstance(choice, str):
        return choice
    kind = choice.get("type") if isinstance(choice, dict) else None
    if isinstance(choice, dict) and kind == "function":
        name = expected(choice, "name", str, needed=True)
        return {"type": "function", "function": {"name": name}}
    if isinstance(choice, dict) and kind == "allowed_tools":
        allowed = [_tool_choice(tool) for tool in expected(choice, "tools", list) or ()]
        mode = choice.get("mode", "auto")
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
    msg = f"'tool_choice' is of the type {kind!r}: expected 'function', 'allowed_tools' or a text"
    raise Refusal(400, msg, code="unsupported_tool", param="tool_choice")


def _response_format(format_: Mapping[str, Any]) -> dict[str, Any]:
    kind = format_.get("type")
    if kind == "json_object":
        return {"type": kind}
    if kind == "json_schema":
        schema = {name: value for name, value in format_.items() if name != "type"}
        return {"type": kind, "json_schema": schema}
    msg = f"'text.format' is of the type {kind!r}: expected 'text', 'json_object' or 'json_schema'"
    raise Refusal(400, msg, code="invalid_value", param="text.format")
