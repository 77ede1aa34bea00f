"""What an endpoint's answer means: a reply, or an error and whether to try again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.clients.base import ChatReply
from fusionfactory.endpoints import (
    NO_QUOTA,
    OVERLOADED,
    asked_wait_s,
    one_line,
    status_hint,
    storable,
    worth_retrying,
)
from fusionfactory.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Answer", "Source", "mean_logprob", "token_counts", "token_logprobs"]

_LEAST_LOGPROB = -1e4
_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Source:
    """Who answered, for messages.

    Attributes:
        url: Where the request went.
        api_key_env: Name of the key's variable.
        key: The key, which no message may show.
    """

    url: str
    api_key_env: str
    key: str

    def __repr__(self) -> str:
        return f"Source({self.url!r})"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came.

    Attributes:
        source: Who answered.
        status: The HTTP status.
        header: Name of a header to its value, in any case.
        body: The body, or its beginning where the status is no success.
        latency_s: Seconds from the attempt's start to the last byte.
    """

    source: Source
    status: int
    header: Callable[[str], str | None]
    body: bytes
    latency_s: float

    @property
    def is_overload(self) -> bool:
        """Whether fewer calls at a time would help."""
        return self.status in OVERLOADED and self._error()[0] != NO_QUOTA

    def reply(self) -> ChatReply:
        """The reply in it.

        Raises:
            CallError: There is none. A paid answer without a text cannot be retried.
        """
        if self.status not in _OK:
            raise self._refusal()
        document = self._document()
        usage = document.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        sent, received = token_counts(usage)
        choice, text = self._choice(document)
        finish_reason = choice.get("finish_reason")
        if not text.strip():
            msg = f"{self.source.url}: empty response (finish_reason {finish_reason})"
            raise CallError(
                one_line(msg, self.source.key),
                status=self.status,
                input_tokens=sent,
                output_tokens=received,
            )
        reason = None if finish_reason is None else storable(str(finish_reason))
        logprob = mean_logprob(token_logprobs(choice))
        return ChatReply(text, reason, sent, received, self.latency_s, usage, logprob)

    def _refusal(self) -> CallError:
        code, said = self._error()
        retryable = worth_retrying(self.status, self.header("x-should-retry"))
        hint = status_hint(self.status, self.source.api_key_env)
        return CallError(
            self._message(f"answered {self.status}{hint}", said),
            status=self.status,
            retryable=retryable and code != NO_QUOTA,
            retry_after_s=asked_wait_s(self.header),
        )

    def _error(self) -> tuple[str | None, str]:
        """Code and text of an OpenAI error object, or the body as it is."""
        raw = self.body.decode(errors="replace")
        try:
            error = json.loads(raw)["error"]
            return error.get("code") or error.get("type"), str(error["message"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None, raw

    def _document(self) -> Mapping[str, Any]:
        kind = (self.header("Content-Type") or "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            what = f"answered {kind or 'no content type'} instead of application/json"
            raise self._malformed(what)
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            what = f"answered malformed JSON ({type(error).__name__})"
        else:
            if isinstance(document, dict):
                return document
            what = "answered JSON that is no object"
        raise self._malformed(what)

    def _choice(self, document: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
        try:
            choice = document["choices"][0]
            message = choice["message"]
            text = _text(message.get("content") or message.get("refusal"))
        except (KeyError, IndexError, TypeError, AttributeError):
            what = "answered no choices with a message"
        else:
            return choice, text
        raise self._malformed(what)

    def _malformed(self, what: str) -> CallError:
        msg = self._message(what, self._error()[1])
        return CallError(msg, status=self.status, retryable=True)

    def _message(self, what: str, said: str) -> str:
        return f"{self.source.url} {what}: {one_line(said, self.source.key)}"


def _text(content: str | list[Mapping[str, Any]] | None) -> str:
    """The text of a message's content."""
    if content is None:
        return ""
    if not isinstance(content, str):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    return storable(content)


def token_counts(usage: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Tokens sent and received; some endpoints count reasoning in the total only."""
    sent, received, total = (
        _count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if sent is not None and received is not None and total is not None:
        received = max(received, total - sent)
    return sent, received


def token_logprobs(choice: Mapping[str, Any]) -> list[float]:
    """The log-probability of each token of a choice, or of a chunk of one, that tells it."""
    told = choice.get("logprobs")
    tokens = (told.get("content") or told.get("refusal")) if isinstance(told, dict) else None
    if not isinstance(tokens, list):
        return []
    values: list[Any] = [token.get("logprob") for token in tokens if isinstance(token, dict)]
    # Some servers write the lowest number there is for a token that their sampler left no chance.
    return [v for v in values if type(v) in {int, float} and v >= _LEAST_LOGPROB]


def mean_logprob(values: Sequence[float]) -> float | None:
    """Per token, 0 at most; None without tokens."""
    return min(sum(values) / len(values), 0.0) if values else None


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
