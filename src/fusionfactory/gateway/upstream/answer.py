"""An answer that was begun: whole, or a stream that goes on until it ends, breaks or is dropped."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Self

import aiohttp

from fusionfactory.clients.replies import token_counts
from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from fusionfactory.clients.limits import Slot
    from fusionfactory.gateway.fleet import Target
    from fusionfactory.gateway.log.record import Attempt
    from fusionfactory.gateway.upstream.attempt import Call, Reply
    from fusionfactory.gateway.upstream.lane import Lane

__all__ = ["LARGEST_STREAM", "Answer"]

LARGEST_STREAM = 256 * 2**20
"""Bytes of a stream at which it is given up."""

_DONE = re.compile(rb"data:[ \t]*\[DONE\][ \t]*(?:\n\n|\r\n\r\n|\r\r)")
"""What ends a stream well; no JSON holds a line's end, so that no text looks like it."""

_TAIL = 32
_BAD, _LATE = 502, 504
_DRAIN_S = 1.0


class Answer:
    """What an endpoint answers. Whoever gets one closes it.

    Args:
        lane: Who answers.
        slot: The call's leave, until the answer has ended.
        call: What was asked.
        reply: What came so far.
        attempt: The record of the call; gets its latency, and the error of a stream that breaks.
        begun: `time.perf_counter()` when the call was begun.

    Attributes:
        attempt: See above.
        body: The whole answer; None of a stream.
    """

    def __init__(
        self, lane: Lane, slot: Slot, call: Call, reply: Reply, attempt: Attempt, begun: float
    ) -> None:
        self.attempt, self.body = attempt, reply.body
        self._lane, self._slot, self._call = lane, slot, call
        self._response, self._begin, self._begun = reply.response, reply.begin, begun
        self._tail, self._size = b"", len(reply.begin)
        self._open = True
        self._watch: asyncio.TimerHandle | None = None
        self._waiting_since: float | None = None
        self._late: str | None = None
        lane.breaker.answered()
        if reply.body is not None:
            self._end()

    @property
    def target(self) -> Target:
        """Who answers."""
        return self._lane.target

    @property
    def arm(self) -> str:
        """The arm's name."""
        return self._lane.target.name

    @property
    def status(self) -> int:
        """The endpoint's HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The endpoint's headers, by names in any case."""
        return self._response.headers

    @property
    def events(self) -> AsyncIterator[bytes]:
        """The stream, in pieces as they come; once. Ends with a `Refusal` where it breaks."""
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece.

        Raises:
            StopAsyncIteration: The stream has ended.
            Refusal: It broke, fell silent, or is too long.
        """
        if not self._open:
            raise StopAsyncIteration
        piece, self._begin = self._begin, b""
        if not piece:
            piece = await self._next()
            if not piece:
                self._end()
                self._response.release()
                raise StopAsyncIteration
            self._size += len(piece)
            if self._size > LARGEST_STREAM:
                what = f"sent a stream of more than {LARGEST_STREAM >> 20} MiB"
                raise self._broke(what, _BAD)
        # What ends a stream well may come in two pieces, and with more behind it.
        seen = self._tail + piece
        self._tail = seen[-_TAIL:]
        if _DONE.search(seen) is not None:
            self._end()
            # The body's own end may be on its way still; a cut costs the next call a handshake.
            self._lane.pool.later(self._drain())
        return piece

    async def close(self) -> None:
        """Cuts the connection where the answer has not ended."""
        if self._open:
            self.drop("the caller went away")

    def drop(self, why: str) -> None:
        """Nobody wants it any more: cuts the connection. The endpoint is not to blame."""
        if self._open:
            self._finish(why)
            self._response.close()
        elif self.body is not None:
            usage = self.body.get("usage")
            usage = usage if isinstance(usage, dict) else {}
            self.attempt.error = why
            self.attempt.cost_usd = self.target.price.usd(*token_counts(usage), usage)

    async def _next(self) -> bytes:
        loop = asyncio.get_running_loop()
        if self._watch is None:
            self._look(loop)
        self._waiting_since = loop.time()
        try:
            piece = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            what = self._late or f"broke off its stream: {type(error).__name__}: {error}"
            failure = self._broke(what, _BAD if self._late is None else _LATE)
        else:
            self._waiting_since = None
            return piece
        # Outside the handler: aiohttp's errors hold the request with its key.
        raise failure

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cuts the connection of a stream that is silent or late, else looks again later.

        One timer for the whole stream costs less than one for every piece.
        """
        now, call = loop.time(), self._call
        silent_at = (self._waiting_since or now) + call.idle_s
        if now >= call.deadline:
            self._late = "did not end its stream before the request's deadline"
        elif now >= silent_at:
            self._late = f"was silent for {call.idle_s:g} s in the middle of its stream"
        else:
            self._watch = loop.call_at(min(silent_at, call.deadline), self._look, loop)
            return
        self._response.close()

    def _broke(self, what: str, told: int) -> Refusal:
        message = self._lane.pool.place.says(what)
        self._lane.breaker.failed(message)
        self._finish(message)
        self._response.close()
        return Refusal(told, message, "upstream_stream_broken")

    def _end(self) -> None:
        self._lane.breaker.succeeded()
        self._slot.succeeded()
        self._finish(None)

    def _finish(self, error: str | None) -> None:
        self._open = False
        if self._watch is not None:
            self._watch.cancel()
        self._slot.release()
        self.attempt.latency_s = time.perf_counter() - self._begun
        self.attempt.error = self.attempt.error or error

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN_S):
                while await self._response.content.readany():
                    pass
        except (TimeoutError, aiohttp.ClientError, OSError):
            self._response.close()
        finally:
            self._response.release()
