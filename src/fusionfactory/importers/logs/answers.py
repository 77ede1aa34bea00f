"""Answers of the usual HTTP APIs: chat and text completions, responses, Anthropic messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fusionfactory.importers.logs.messages import answer_text
from fusionfactory.importers.logs.values import decoded, first

__all__ = ["Answer", "error_text", "read_answer"]

_SAID = {"content", "parts", "tool_calls"}
_BODY = {"choices", "output", "error", "role", *_SAID}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a response's body says. Values are as given, None where it does not say.

    Attributes:
        text: Of the first choice.
        finish_reason: Why the model stopped.
        model: Who answered.
        input_tokens: Tokens sent.
        output_tokens: Tokens received.
        created: Seconds since 1970.
        error: What went wrong.
    """

    text: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    input_tokens: Any = None
    output_tokens: Any = None
    created: Any = None
    error: str | None = None


def read_answer(body: Any) -> Answer:  # noqa: ANN401  any JSON
    """The answer in a body, perhaps kept as JSON text; a plain text or a message is one too."""
    if isinstance(body, str):
        kept = decoded(body)
        bodily = isinstance(kept, dict) and kept.keys() & _BODY
        return read_answer(kept) if bodily else Answer(body)
    if isinstance(body, list):
        return Answer(answer_text(body))
    if not isinstance(body, dict):
        return Answer()
    used = body.get("usage")
    usage = used if isinstance(used, dict) else {}
    text, reason = _text(body)
    return Answer(
        text=text,
        finish_reason=None if reason is None else str(reason),
        model=first(body, "model"),
        input_tokens=first(usage, "prompt_tokens", "input_tokens"),
        output_tokens=first(usage, "completion_tokens", "output_tokens"),
        created=first(body, "created", "created_at"),
        error=error_text(body.get("error")),
    )


def _text(body: dict[str, Any]) -> tuple[str | None, Any]:
    """Text and finish reason."""
    choices = body.get("choices")
    if isinstance(choices, list):
        choice = choices[0] if choices and isinstance(choices[0], dict) else {}
        message = choice.get("message")
        text = answer_text(message) if message is not None else choice.get("text")
        return text, choice.get("finish_reason")
    if isinstance(body.get("output"), list):
        details = body.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else body.get("status")
        return answer_text(body["output"]), reason
    if body.keys() & _SAID:
        return answer_text(body), first(body, "stop_reason", "finish_reason")
    return None, None


def error_text(error: Any) -> str | None:  # noqa: ANN401  any JSON
    """An API's error object as `code: message`; None where there is none."""
    error = decoded(error)
    if not error:
        return None
    if not isinstance(error, dict):
        return str(error)
    said = [first(error, "code", "type"), first(error, "message", "param")]
    return ": ".join(str(part) for part in said if part is not None) or None
