"""Why an attempt gave no answer, and what may be tried instead."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from fusionfactory.endpoints import (
    NO_QUOTA,
    OVERLOADED,
    asked_wait_s,
    one_line,
    status_hint,
    worth_retrying,
)
from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Failure", "Place", "refused"]

_OURS = frozenset({401, 402, 404})
"""What an endpoint answers where the settings have its key, its account or a model's name wrong:
another arm may do better, and the client is not to take it for a fault of its own."""

_REQUEST = frozenset({400, 403, 413, 422})
"""What an endpoint answers where it cannot take the request: too long for this model, a field that
it does not know, a picture; or the request is wrong for every model."""

_BAD_GATEWAY = 502
_UNAUTHORISED = 401
_CLIENT_ERROR = 400
_SERVER_ERROR = 500
_ERRORS = range(400, 600)


@dataclass(frozen=True, slots=True)
class Place:
    """Who was asked, for messages.

    Attributes:
        name: As messages show it.
        api_key_env: Name of the key's variable.
        key: The key, which no message may show.
    """

    name: str
    api_key_env: str = ""
    key: str = field(default="", repr=False)

    def says(self, what: str) -> str:
        """A message about the place: on one line, without its key, cut short."""
        return one_line(f"{self.name} {what}", self.key)


@dataclass(eq=False)
class Failure(Exception):
    """Ends an attempt without an answer. It stays in this folder: clients get its `refusal`.

    Attributes:
        message: What happened, without secrets: `openai answered 500: it broke`.
        told: HTTP status that the client gets where no other attempt succeeds.
        status: The endpoint's, where there was one.
        elsewhere: Whether another arm may answer.
        again: Whether the same arm may, later.
        blames_request: Whether the endpoint says that the request is at fault.
        counts: Whether it speaks against the endpoint's health.
        overload: Whether fewer calls at a time would help.
        wait_s: Seconds after which the endpoint asks to be called again.
        cost_usd: What it cost: 0 where nothing was done, None where nobody knows.
        upstream: The endpoint's error object.
    """

    message: str
    told: int = _BAD_GATEWAY
    status: int | None = None
    elsewhere: bool = True
    again: bool = True
    blames_request: bool = False
    counts: bool = True
    overload: bool = False
    wait_s: float | None = None
    cost_usd: float | None = None
    upstream: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__init__(self.message)

    def refusal(self) -> Refusal:
        """What the client is told."""
        wait = {} if self.wait_s is None else {"retry-after": f"{max(math.ceil(self.wait_s), 1)}"}
        upstream = self.upstream
        if upstream is not None and not isinstance(upstream.get("message"), str):
            upstream = {**upstream, "message": self.message}
        return Refusal(self.told, self.message, "upstream_failed", headers=wait, upstream=upstream)


def refused(
    place: Place,
    status: int,
    header: Callable[[str], str | None],
    content: bytes,
    cost_usd: float | None = 0.0,
) -> Failure:
    """The endpoint answered with an error.

    Args:
        place: Who answered.
        status: Of the answer, or of the error in it where the answer pretends success.
        header: Name of a header to its value, in any case.
        content: The body, or its beginning.
        cost_usd: What it cost.
    """
    error = _error(content, place.key)
    said = content.decode(errors="replace") if error is None else str(error.get("message", ""))
    code = (error or {}).get("code") or (error or {}).get("type")
    if status == _UNAUTHORISED:
        # Some endpoints repeat a part of the key that they refuse.
        error, said = None, "it refuses the gateway's key"
    by_itself = worth_retrying(status, None) or status < _CLIENT_ERROR
    retryable = worth_retrying(status, header("x-should-retry"))
    ours = status in _OURS or status not in _ERRORS
    return Failure(
        place.says(f"answered {status}{status_hint(status, place.api_key_env)}: {said}"),
        told=_BAD_GATEWAY if ours else status,
        status=status,
        elsewhere=by_itself or retryable or status in _OURS | _REQUEST,
        again=retryable and code != NO_QUOTA,
        blames_request=status in _REQUEST,
        counts=status >= _SERVER_ERROR or status < _CLIENT_ERROR,
        overload=status in OVERLOADED and code != NO_QUOTA,
        wait_s=asked_wait_s(header),
        cost_usd=cost_usd,
        upstream=error,
    )


def _error(content: bytes, key: str) -> Mapping[str, Any] | None:
    """The error object in a body; None where it holds none."""
    try:
        found = orjson.loads(content.replace(key.encode(), b"***") if key else content)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
    if isinstance(found, str):
        return {"message": found}
    return found if isinstance(found, dict) else None
