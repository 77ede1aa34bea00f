"""Where a value stands in a judge's reply: JSON, a tag, a label, a line of its own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read: TypeAlias = Callable[[str], float | None]

__all__ = ["Form", "Found", "plain"]

_READ_CHARACTERS = 20_000
_MOST_OBJECTS = 200
_REASON_CHARACTERS = 500
_REASON_KEYS = ("reason", "reasoning", "explanation", "rationale")

_THOUGHT = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_OPEN_THOUGHT = re.compile(r"<think(?:ing)?>.*$", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<(?:answer|score|rating|grade|verdict|winner|better)>([^<]*)", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_MARKUP = re.compile(r"[*_`\"'$]+")


@dataclass(frozen=True, slots=True)
class Found:
    """A value with the reason that stands beside it, at most 500 characters on one line."""

    value: float
    reason: str | None


@dataclass(frozen=True)
class Form:
    """How one kind of value is written.

    Attributes:
        keys: Of the value in a JSON object.
        label: What stands before it in a sentence, such as `Score:`.
        begins: The value with which a text begins; None where it is unclear.
        bare: The value that a line consists of; None where it is more or unclear.
    """

    keys: tuple[str, ...]
    label: re.Pattern[str]
    begins: Read
    bare: Read

    def find(self, text: str) -> Found | None:
        """The value in a reply, after its reasoning; the last where it gives several.

        None where nothing can be read for sure. Of a text of more than 20,000 characters only the
        end is read.
        """
        said = _OPEN_THOUGHT.sub("", _THOUGHT.sub("", text[-_READ_CHARACTERS:])).strip()
        return self._in_json(said) or self._in_tags(said) or self._labelled(plain(said))

    def _in_json(self, said: str) -> Found | None:
        for found in _objects(said):
            for key in self.keys:
                given = found.get(key)
                unclear = given is None or isinstance(given, bool)
                value = None if unclear else self.begins(str(given))
                if value is not None:
                    texts = (found[k] for k in _REASON_KEYS if isinstance(found.get(k), str))
                    return _found(value, next(texts, ""))
        return None

    def _in_tags(self, said: str) -> Found | None:
        for pattern in (_TAG, _BOXED):
            for match in reversed(list(pattern.finditer(said))):
                value = self.begins(match[1])
                if value is not None:
                    return _found(value, said[: match.start()])
        return None

    def _labelled(self, said: str) -> Found | None:
        labels = list(self.label.finditer(said))
        if labels:
            last = labels[-1]
            value = self.begins(said[last.end() :])
            rest = said[: last.start()].strip(" \n{,") or said[last.end() :].partition("\n")[2]
            if value is not None:
                return _found(value, rest)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        for line in (lines[-1], lines[0]) if lines else ():
            value = self.bare(line)
            if value is not None:
                return _found(value, "\n".join(other for other in lines if other != line))
        return None


def plain(text: str) -> str:
    """The text without quotation marks and Markdown's emphasis."""
    return _MARKUP.sub("", text)


def _found(value: float, reason: str) -> Found:
    words = reason.split()
    return Found(value, " ".join(words)[:_REASON_CHARACTERS] if len(words) > 1 else None)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects in a text, with keys in small letters.

    First the one that the text ends with, from the first brace on, for the reason inside it may
    quote another; then any, the last first.
    """
    decoder = json.JSONDecoder()
    starts = [match.start() for match in re.finditer(r"\{", text)]
    for position, start in enumerate((*starts[:1], *reversed(starts[-_MOST_OBJECTS:]))):
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if position or not text[end:].strip("` \n"):
            yield {str(key).strip().lower(): value for key, value in found.items()}
