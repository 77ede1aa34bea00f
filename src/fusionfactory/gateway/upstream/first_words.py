"""The beginning of a stream, held back until it says something: till then, others may answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from fusionfactory.gateway.surface.sse import DONE, EventParser, EventTooLongError
from fusionfactory.gateway.upstream.failure import Failure, Place, refused

if TYPE_CHECKING:
    import aiohttp

__all__ = ["error_in", "first_words"]

_BAD_GATEWAY = 502
_ERRORS = range(400, 600)


async def first_words(place: Place, response: aiohttp.ClientResponse) -> bytes:
    """What came up to the first event with a word, a tool call or an end, as it came.

    Args:
        place: Who answers.
        response: Its stream.

    Raises:
        Failure: The stream is none, is malformed, holds an error, or ends without a word.
        ClientError: The connection broke.
    """
    if response.content_type != "text/event-stream":
        raise _failure(place, f"answered {response.content_type} instead of text/event-stream")
    held: list[bytes] = []
    parser = EventParser()
    paid = False
    while True:
        chunk = await response.content.readany()
        held.append(chunk)
        try:
            events = parser.feed(chunk) if chunk else parser.end()
        except EventTooLongError as error:
            raise _failure(place, str(error)) from None
        for data in events:
            if data.strip() == DONE:
                if paid:
                    return b"".join(held)
                raise _failure(place, "ended a stream without a word")
            event = _event(place, response, data)
            if _says(event):
                return b"".join(held)
            paid = paid or bool(event.get("usage"))
        if not chunk:
            raise _failure(place, "ended a stream without a word")


def error_in(
    place: Place, response: aiohttp.ClientResponse, document: dict[str, Any]
) -> Failure | None:
    """The failure that an answer with a good status turns out to be; None where it is none."""
    error = document.get("error")
    if not error or document.get("choices"):
        return None
    code = error.get("code") if isinstance(error, dict) else None
    status = code if type(code) is int and code in _ERRORS else _BAD_GATEWAY
    content = orjson.dumps({"error": error})
    return refused(place, status, response.headers.get, content, cost_usd=None)


def _event(place: Place, response: aiohttp.ClientResponse, data: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError:
        event = None
    if not isinstance(event, dict):
        shown = data.decode(errors="replace")
        raise _failure(place, f"began a stream with an event that is no JSON object: {shown}")
    failure = error_in(place, response, event)
    if failure is not None:
        raise failure
    return event


def _says(event: dict[str, Any]) -> bool:
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        if choice.get("finish_reason") or choice.get("text"):
            return True
        delta = choice.get("delta")
        if isinstance(delta, dict) and any(delta[name] for name in delta if name != "role"):
            return True
    return False


def _failure(place: Place, what: str) -> Failure:
    return Failure(place.says(what))
