"""The input of a response, item by item, as the messages of a chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["to_messages"]

_ROLES = {"user", "assistant", "system", "developer"}


def to_messages(given: object, instructions: str | None) -> list[dict[str, Any]]:
    """The conversation.

    Args:
        given: A text, or a list of items.
        instructions: What comes before it.

    Raises:
        Refusal: There is no input, or an item that a chat cannot hold (400).
    """
    messages: list[dict[str, Any]] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    if isinstance(given, str) and given:
        return [*messages, {"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        msg = "'input' is missing or empty: expected a text or a list of items"
        raise Refusal(400, msg, code="invalid_value", param="input")
    for i, item in enumerate(given):
        _add(messages, item, f"input[{i}]")
    if len(messages) == bool(instructions):
        msg = "'input' holds thoughts alone: expected a message, or the output of a call"
        raise Refusal(400, msg, code="invalid_value", param="input")
    return messages


def _add(messages: list[dict[str, Any]], item: object, place: str) -> None:
    if not isinstance(item, dict):
        raise _unusable(at=place, wrong=f"is {type(item).__name__}", expected="an object")
    kind = item.get("type")
    if kind is None and "role" in item:
        kind = "message"
    if kind == "message":
        messages.append(_message(item, place))
    elif kind == "function_call":
        _add_call(messages, item, place)
    elif kind == "function_call_output":
        output = item.get("output")
        content = output if isinstance(output, str) else _content(output, f"{place}.output")
        id_ = _call_id(item, place)
        messages.append({"role": "tool", "tool_call_id": id_, "content": content})
    elif kind != "reasoning":
        # What a model thought before is of no use to another one, and chats do not hold it.
        raise _unusable(
            at=place,
            wrong=f"is of the type {kind!r}",
            expected="'message', 'function_call', 'function_call_output' or 'reasoning'",
        )


def _message(item: Mapping[str, Any], place: str) -> dict[str, Any]:
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        roles = ", ".join(sorted(_ROLES))
        raise _unusable(at=f"{place}.role", wrong=f"is {role!r}", expected=roles)
    content = item.get("content")
    if isinstance(content, str):
        return {"role": role, "content": content}
    parts = _content(content, f"{place}.content")
    if role == "assistant" and all(part["type"] == "text" for part in parts):
        # Endpoints that know no parts in answers are many.
        return {"role": role, "content": "".join(str(part["text"]) for part in parts)}
    return {"role": role, "content": parts}


def _content(parts: object, place: str) -> list[dict[str, Any]]:
    if not isinstance(parts, list):
        wrong = f"is {type(parts).__name__}"
        raise _unusable(at=place, wrong=wrong, expected="a text or a list of parts")
    found = []
    for i, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        make = _PARTS.get(kind) if isinstance(kind, str) else None
        if make is None:
            wrong = f"is of the type {kind!r}"
            raise _unusable(at=f"{place}[{i}]", wrong=wrong, expected=", ".join(_PARTS))
        found.append(make(part, f"{place}[{i}]"))
    return found


def _text(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    if not isinstance(part.get("text"), str):
        raise _unusable(at=f"{place}.text", wrong="is missing", expected="a text")
    return {"type": "text", "text": part["text"]}


def _picture(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    if not isinstance(part.get("image_url"), str):
        expected = "a URL, for no files are kept here"
        raise _unusable(at=f"{place}.image_url", wrong="is missing", expected=expected)
    detail = {"detail": part["detail"]} if part.get("detail") else {}
    return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}


def _file(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    if not isinstance(part.get("file_data"), str):
        expected = "the file itself, for none are kept here"
        raise _unusable(at=f"{place}.file_data", wrong="is missing", expected=expected)
    names = ("filename", "file_data")
    return {"type": "file", "file": {name: part[name] for name in names if name in part}}


def _sound(part: Mapping[str, Any], _place: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": part.get("input_audio")}


def _declined(part: Mapping[str, Any], _place: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": part.get("refusal")}


_PARTS: dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "input_image": _picture,
    "input_file": _file,
    "input_audio": _sound,
    "refusal": _declined,
}


def _add_call(messages: list[dict[str, Any]], item: Mapping[str, Any], place: str) -> None:
    """Adds a call to the assistant's message before it, for a chat holds all calls of a turn."""
    name, arguments = item.get("name"), item.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, str):
        expected = "`name` and `arguments` as texts"
        raise _unusable(at=place, wrong="is no call", expected=expected)
    function = {"name": name, "arguments": arguments}
    call = {"id": _call_id(item, place), "type": "function", "function": function}
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", []).append(call)


def _call_id(item: Mapping[str, Any], place: str) -> str:
    id_ = item.get("call_id")
    if not isinstance(id_, str):
        raise _unusable(at=f"{place}.call_id", wrong="is missing", expected="a text")
    return id_


def _unusable(*, at: str, wrong: str, expected: str) -> Refusal:
    msg = f"{at} {wrong}: expected {expected}"
    return Refusal(400, msg, code="invalid_value", param=at)
