"""One call of an endpoint: an answer, whole or begun, or a failure."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from fusionfactory.clients.endpoint import LARGEST_BODY, LARGEST_REFUSAL, content_of
from fusionfactory.gateway.upstream.failure import Failure, refused
from fusionfactory.gateway.upstream.first_words import error_in, first_words

if TYPE_CHECKING:
    from fusionfactory.gateway.upstream.failure import Place
    from fusionfactory.gateway.upstream.pool import Pool

__all__ = ["Call", "Reply", "ask"]

_OK = range(200, 300)
_GATEWAY_TIMEOUT = 504
_HOLDS = {"embeddings": "data"}
"""Path to the list that a good answer holds; `choices` of others."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent, and how long it may take.

    Attributes:
        path: `chat/completions`, ...
        content: The request in JSON.
        stream: Whether it asks for a stream.
        first_byte_s: Seconds to the first byte of the answer, or to the first word of a stream.
        idle_s: Seconds between two pieces of an answer.
        deadline: Loop time at which all is over.
    """

    path: str
    content: bytes
    stream: bool
    first_byte_s: float
    idle_s: float
    deadline: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came.

    Attributes:
        response: Of the endpoint; its body is read unless this is a stream.
        body: The whole answer; None of a stream.
        begin: What was read of a stream.
    """

    response: aiohttp.ClientResponse
    body: dict[str, Any] | None = None
    begin: bytes = b""


async def ask(pool: Pool, call: Call) -> Reply:
    """Makes a call. Of a stream, waits until it says something.

    Raises:
        Failure: There is no answer.
    """
    response: aiohttp.ClientResponse | None = None
    clock: asyncio.Timeout | None = None
    now = asyncio.get_running_loop().time
    until = min(now() + call.first_byte_s, call.deadline)
    ended = False
    try:
        async with asyncio.timeout_at(until) as clock:
            response = await pool.post(call.path, call.content)
            if response.status not in _OK:
                content = await content_of(response, LARGEST_REFUSAL)
                raise refused(pool.place, response.status, response.headers.get, content)
            if call.stream:
                reply = Reply(response, begin=await first_words(pool.place, response))
            else:
                content = await content_of(
                    response,
                    LARGEST_BODY,
                    lambda: clock.reschedule(min(now() + call.idle_s, call.deadline)),
                )
                reply = Reply(response, _document(pool.place, call.path, response, content))
        ended = True
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        is_late = clock is not None and clock.when() == call.deadline
        failure = _unanswered(pool, error, response, call, is_late=is_late)
    else:
        return reply
    finally:
        if not ended and response is not None:
            response.close()
    # Outside the handler: aiohttp's errors hold the request with its key.
    raise failure


def _unanswered(
    pool: Pool,
    error: Exception,
    response: aiohttp.ClientResponse | None,
    call: Call,
    *,
    is_late: bool,
) -> Failure:
    status = None if response is None else response.status
    if isinstance(error, aiohttp.ServerTimeoutError):
        what = f"could not be connected to within {pool.connect_s:g} s"
        return Failure(pool.place.says(what), told=_GATEWAY_TIMEOUT, cost_usd=0.0)
    if isinstance(error, TimeoutError):
        what = f"gave no answer within {call.first_byte_s:g} s"
        if is_late:
            what = "gave no answer before the request's deadline"
        elif response is not None and not call.stream:
            what = f"fell silent for {call.idle_s:g} s in the middle of its answer"
        return Failure(pool.place.says(what), told=_GATEWAY_TIMEOUT, status=status)
    what = "cannot be reached" if response is None else "broke off its answer"
    # Where no connection was made, nothing was sent and nothing is paid.
    unsent, why = False, str(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        # Its own words hold the endpoint's address, which is no client's business.
        code = error.os_error.errno or 0
        unsent, why = True, os.strerror(code) if code > 0 else "its name is unknown"
    what = f"{what}: {type(error).__name__}: {why}".rstrip(": ")
    return Failure(pool.place.says(what), status=status, cost_usd=0.0 if unsent else None)


def _document(
    place: Place, path: str, response: aiohttp.ClientResponse, content: bytes
) -> dict[str, Any]:
    if len(content) > LARGEST_BODY:
        what = f"answered more than {LARGEST_BODY >> 20} MiB"
        raise Failure(place.says(what), status=response.status)
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        document = None
    shown = content[:LARGEST_REFUSAL].decode(errors="replace")
    if not isinstance(document, dict):
        what = f"answered {response.content_type} that is no JSON object: {shown}"
        raise Failure(place.says(what), status=response.status)
    failure = error_in(place, response, document)
    if failure is not None:
        raise failure
    name = _HOLDS.get(path, "choices")
    held = document.get(name)
    if not (isinstance(held, list) and held and all(isinstance(item, dict) for item in held)):
        raise Failure(place.says(f"answered no {name}: {shown}"), status=response.status)
    return document
