"""A whole answer as a stream, and a stream as a whole answer: what the cache of answers needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fusionfactory.gateway.surface.form import Rendering

__all__ = ["Assembly", "Recorded", "chunks"]

_SAID_ONCE = frozenset({"id", "index", "role", "type"})
_OF_THE_ANSWER = ("id", "created", "system_fingerprint", "service_tier")


def chunks(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks that make up an answer of `chat/completions` or `completions`.

    Args:
        answer: Whole.
    """
    about = {name: answer[name] for name in _OF_THE_ANSWER if name in answer}
    for choice in answer.get("choices") or ():
        message = choice.get("message")
        said: dict[str, Any] = {"text": choice.get("text") or ""}
        if isinstance(message, dict):
            delta = dict(message)
            if delta.get("tool_calls"):
                delta["tool_calls"] = [
                    {"index": i, **call} for i, call in enumerate(delta["tool_calls"])
                ]
            said = {"delta": delta}
        index = choice.get("index", 0)
        logprobs = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
        first = {"index": index, **said, "finish_reason": None, **logprobs}
        yield {**about, "choices": [first]}
        rest: dict[str, Any] = {"delta": {}} if "delta" in said else {"text": ""}
        last = {"index": index, **rest, "finish_reason": choice.get("finish_reason") or "stop"}
        yield {**about, "choices": [last]}
    if answer.get("usage"):
        yield {**about, "choices": [], "usage": answer["usage"]}


class Assembly:
    """Puts the chunks of a stream together to the answer that they are."""

    def __init__(self) -> None:
        self._about: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Takes a chunk, whose calls of tools have their indexes."""
        for name in (*_OF_THE_ANSWER, "usage"):
            if chunk.get(name) is not None:
                self._about[name] = chunk[name]
        for choice in chunk.get("choices") or ():
            index = choice.get("index", 0)
            mine = self._choices.setdefault(index, {"index": index, "finish_reason": None})
            said = {"message": choice.get("delta"), "text": choice.get("text"),
                    "logprobs": choice.get("logprobs")}  # fmt: skip
            _join(mine, {name: value for name, value in said.items() if value is not None})
            mine["finish_reason"] = choice.get("finish_reason") or mine["finish_reason"]

    def answer(self, model: str) -> dict[str, Any]:
        """The answer.

        Args:
            model: What answered.
        """
        choices = [self._choices[index] for index in sorted(self._choices)]
        for choice in choices:
            if "message" in choice:
                choice["message"].setdefault("content", None)
                for call in choice["message"].get("tool_calls", ()):
                    call.pop("index", None)
        return {**self._about, "model": model, "choices": choices}


def _join(whole: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Adds a piece: texts and lists go on, objects are joined, and the rest is said once."""
    for name, value in piece.items():
        known = whole.get(name)
        if isinstance(value, dict):
            whole[name] = known = known or {}
            _join(known, value)
        elif isinstance(value, list):
            whole[name] = known = known or []
            for item in value:
                _add(known, item)
        elif isinstance(known, str) and isinstance(value, str) and name not in _SAID_ONCE:
            whole[name] = known + value
        elif known is None:
            whole[name] = value


def _add(items: list[Any], piece: Any) -> None:  # noqa: ANN401  any JSON
    """A piece of a call goes to the call of its index; whatever has no index is another item."""
    index = piece.get("index") if isinstance(piece, dict) else None
    if index is None:
        items.append(piece)
        return
    known = next((item for item in items if item.get("index") == index), None)
    if known is None:
        known = {}
        items.append(known)
    _join(known, piece)


class Recorded:
    """A client's stream, and the whole answer that it makes.

    Args:
        rendering: Makes the stream.
    """

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering
        self.assembly = Assembly()

    def begin(self) -> bytes:
        """Of the stream."""
        return self._rendering.begin()

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        """Of the stream. Calls of tools get their indexes there, and usage may be taken out."""
        usage = chunk.get("usage")
        rendered = self._rendering.chunk(chunk)
        self.assembly.add({**chunk, "usage": usage})
        return rendered

    def end(self) -> bytes:
        """Of the stream."""
        return self._rendering.end()

    def fail(self, error: Mapping[str, Any]) -> bytes:
        """Of the stream."""
        return self._rendering.fail(error)
