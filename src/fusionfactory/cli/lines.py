"""Queries on standard input: one JSON object, or JSON string, a line."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.conversation import user_text
from fusionfactory.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["INPUT", "Line", "read_lines"]

INPUT = "standard input"
"""What the messages of errors call it."""

_TEXTS = ("query", "text")


@dataclass(frozen=True, slots=True)
class Line:
    """What one line asks.

    Attributes:
        text: The query; of a conversation without one, the texts of the user's messages.
        row: Its place, from 1.
        messages: The conversation as it was given; None where there is none.
        id: Of the query, as the line has it.
        task: Name of its task, likewise.
    """

    text: str
    row: int
    messages: list[Any] | None = None
    id: object = None
    task: object = None


def read_lines(texts: Iterable[str]) -> list[Line]:
    """The queries given as arguments; where there is none, those on standard input.

    Raises:
        FormatError: A line is no JSON or asks nothing (names the row), or there is no query at all.
    """
    found = [Line(text, row) for row, text in enumerate(texts, 1)] or [
        _line(line, row) for row, line in enumerate(sys.stdin.buffer, 1) if line.strip()
    ]
    if not found:
        msg = "no query: give one as an argument, or JSON lines on standard input"
        raise FormatError(msg)
    return found


def _line(line: bytes, row: int) -> Line:
    try:
        value = json.loads(line.decode("utf-8-sig"))
        # A lone surrogate, which JSON can carry, is no text in UTF-8.
        text = _text(value, row).encode(errors="replace").decode()
    except (ValueError, RecursionError) as error:
        msg = f"is no JSON: {error}"
        raise FormatError(msg, file=INPUT, row=row) from None
    if isinstance(value, str):
        return Line(text, row)
    messages = value.get("messages")
    return Line(
        text,
        row,
        messages if isinstance(messages, list) else None,
        value.get("id"),
        value.get("task"),
    )


def _text(value: object, row: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        given = next((value[name] for name in _TEXTS if isinstance(value.get(name), str)), None)
        if given is not None:
            return str(given)
        if isinstance(value.get("messages"), list):
            return user_text(value["messages"])
    msg = "expected a JSON object with a text 'query' or a list 'messages'"
    raise FormatError(msg, file=INPUT, row=row, field="query")
