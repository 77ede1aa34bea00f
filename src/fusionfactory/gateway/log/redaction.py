"""What of a record's texts reaches the disk: all but what is redacted, hashes alone, or nothing."""

from __future__ import annotations

import hashlib
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import orjson

from fusionfactory.gateway.log.record import Attempt, Ran, Record, Said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.serve_settings import LogSettings

__all__ = ["HASHED", "REDACTED", "WITHHELD", "Redaction"]

REDACTED = "[redacted]"
WITHHELD = "[withheld]"
"""Stands for an error where texts are not kept: endpoints quote prompts in theirs."""

HASHED = "sha256:"
"""Begins a text of which the SHA-256 alone is kept."""

_PARTS = (Record, Attempt, Ran, Said)


class Redaction:
    """Makes the line of the journal of a record or an event.

    Args:
        settings: Which texts are kept, and what is redacted in them.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._texts = settings.texts
        self._patterns = [re.compile(pattern) for pattern in settings.redact]
        self._untouched = settings.texts == "full" and not self._patterns

    def line(self, record: Record) -> bytes:
        """The record as one JSON object, without what must not be kept."""
        return _dump(self.kept(record))

    def event(self, kind: str, facts: Mapping[str, Any]) -> bytes:
        """An event as one JSON object; its `target` is a text as a prompt is."""
        target = facts.get("target")
        if target is not None and not self._untouched:
            facts = {**facts, "target": self._text(str(target))}
        return _dump({"kind": kind, **facts})

    def kept(self, record: Record) -> Record:
        """The record without what must not be kept."""
        if self._untouched:
            return record
        attempts = [
            replace(attempt, error=self._error(attempt.error)) for attempt in record.attempts
        ]
        return replace(
            record,
            asked=self._redacted(record.asked),
            text=self._text(record.text) or "",
            messages=self._messages(record.messages),
            response=self._text(record.response),
            error=self._error(record.error),
            attempts=attempts,
            plan=self._plan(record.plan),
        )

    def _plan(self, ran: Ran | None) -> Ran | None:
        if ran is None:
            return None
        said = [replace(one, response=self._text(one.response)) for one in ran.said]
        return replace(ran, said=said)

    def _text(self, text: str | None) -> str | None:
        if text is None or self._texts == "none":
            return None
        if self._texts == "hash":
            return _hash(text.encode("utf-8", "surrogatepass"))
        return self._redacted(text)

    def _redacted(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        return text

    def _error(self, error: str | None) -> str | None:
        if error is None:
            return None
        return self._text(error) if self._texts == "full" else WITHHELD

    def _messages(self, messages: list[Any] | None) -> list[Any] | None:
        if messages is None or self._texts == "none":
            return None
        if self._texts == "hash":
            return [_hash(_dump(messages))]
        clean: list[Any] = self._walk(messages)
        return clean

    def _walk(self, value: Any) -> Any:  # noqa: ANN401  any JSON
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._walk(item) for item in value]
        if isinstance(value, dict):
            return {self._redacted(key): self._walk(item) for key, item in value.items()}
        return value


def _hash(content: bytes) -> str:
    return HASHED + hashlib.sha256(content).hexdigest()


def _dump(value: object) -> bytes:
    """One line. What no JSON can say is said as text, so that no request fails for its log."""
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return orjson.dumps(_sayable(value, 0), option=orjson.OPT_APPEND_NEWLINE)


_DEEPEST = 100


def _sayable(value: object, depth: int) -> Any:  # noqa: ANN401  any JSON
    if isinstance(value, _PARTS):
        names = [field.name for field in fields(value)]
        return {name: _sayable(getattr(value, name), depth + 1) for name in names}
    if isinstance(value, dict) and depth < _DEEPEST:
        return {_sayable(str(key), depth): _sayable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple) and depth < _DEEPEST:
        return [_sayable(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    return str(value).encode("utf-8", "replace").decode("utf-8")
