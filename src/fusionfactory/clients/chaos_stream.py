"""Streams of the chaos endpoint: an answer in pieces, slowly, or with a bad end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LATE", "Progress", "send_malformed", "send_stream"]

LATE = ("cut", "stall", "late_malformed", "unended", "drip")
"""What a stream meets after its first word: a cut, silence, no JSON, an end without `[DONE]`; or
nothing bad, but slowly."""

_LEAVES_S = 0.01


@dataclass
class Progress:
    """How far an answer has come.

    Attributes:
        share: Of its words, those that were sent.
        complete: Whether all of it was, with its end.
    """

    share: float = 0.0
    complete: bool = False


async def send_stream(
    request: web.Request,
    answer: dict[str, Any],
    late: str | None,
    progress: Progress,
    *,
    reports_usage: bool,
    drip_s: float,
    hang_s: float,
) -> web.StreamResponse:
    """Sends a chat completion in pieces, a word each.

    Args:
        request: Who gets it.
        answer: The whole completion.
        late: One of `LATE`; None for a good stream.
        progress: Is kept up to date.
        reports_usage: Whether a last chunk holds the usage.
        drip_s: Seconds between the pieces of a slow stream.
        hang_s: Seconds of silence of a stream that stalls.
    """
    response = await _begin(request)
    words = _words(answer)
    for i, chunk in enumerate(_chunks(answer, words, reports_usage=reports_usage)):
        await _send(response, json.dumps(chunk))
        progress.share = min(i / len(words), 1.0)
        if late == "drip":
            await asyncio.sleep(drip_s)
        elif late is not None and i == 1:
            return await _break(request, response, late, hang_s)
    await _send(response, "[DONE]")
    await response.write_eof()
    progress.complete = True
    return response


async def send_malformed(request: web.Request, answer: dict[str, Any]) -> web.StreamResponse:
    """Sends a stream whose first event is half a JSON object."""
    response = await _begin(request)
    first = json.dumps(next(_chunks(answer, [""], reports_usage=False)))
    await _send(response, first[: len(first) // 2])
    await response.write_eof()
    return response


async def _break(
    request: web.Request, response: web.StreamResponse, late: str, hang_s: float
) -> web.StreamResponse:
    if late == "stall":
        await asyncio.sleep(hang_s)
    if late == "late_malformed":
        await _send(response, '{"choices": [{"delta": {"con')
    if late == "cut" and request.transport is not None:
        # What was written leaves first.
        await asyncio.sleep(_LEAVES_S)
        request.transport.abort()
    else:
        await response.write_eof()
    return response


def _words(answer: dict[str, Any]) -> list[str]:
    text: str = answer["choices"][0]["message"]["content"]
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def _chunks(
    answer: dict[str, Any], words: list[str], *, reports_usage: bool
) -> Iterator[dict[str, Any]]:
    head = {name: answer[name] for name in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"

    def chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for word in words:
        yield chunk({"content": word})
    yield chunk({}, answer["choices"][0]["finish_reason"])
    if reports_usage:
        yield {**head, "choices": [], "usage": answer["usage"]}


async def _begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


async def _send(response: web.StreamResponse, data: str) -> None:
    await response.write(f"data: {data}\n\n".encode())
