"""Passing an endpoint's answer on to the client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson

from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.surface.sse import DONE, EventParser, EventTooLongError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fusionfactory.gateway.log.record import Record
    from fusionfactory.gateway.parts import Answer
    from fusionfactory.gateway.surface.exchange import Exchange
    from fusionfactory.gateway.surface.form import Rendering
    from fusionfactory.gateway.surface.tally import Tally

__all__ = ["Relay"]


class Relay:
    """A stream on its way from an endpoint to the client.

    Args:
        exchange: The client.
        answer: The endpoint's.
        rendering: Makes the client's stream.
        tally: Reads what passes.
        record: Gets the time of the first byte, and what was spent waiting for the endpoint.
    """

    def __init__(
        self, exchange: Exchange, answer: Answer, rendering: Rendering, tally: Tally, record: Record
    ) -> None:
        self._exchange, self._answer = exchange, answer
        self._rendering, self._tally, self._record = rendering, tally, record
        self._parser = EventParser()
        self._ended = False
        self._broken: Refusal | None = None

    async def run(self) -> None:
        """Passes on all but the end, which has to wait until the request is recorded.

        Raises:
            Refusal: The stream broke: 502, or what the endpoint said.
        """
        record = self._record
        await self._exchange.begin_stream()
        sent = self._rendering.begin()
        pieces = aiter(self._answer.events)
        while not self._ended:
            waited = time.perf_counter()
            try:
                piece = await anext(pieces, None)
            finally:
                record.upstream_s = (record.upstream_s or 0.0) + time.perf_counter() - waited
            sent += b"".join(self._rendered(piece))
            if sent:
                if record.first_byte_s is None:
                    record.first_byte_s = self._exchange.elapsed_s
                await self._exchange.write(sent)
                sent = b""
            if self._broken is not None:
                # Only now: what came before the break is the client's.
                raise self._broken
            if piece is None:
                break
        if not self._ended and not self._tally.ended:
            msg = "the endpoint's stream ended in the middle of the answer"
            raise _broken(msg)

    def _rendered(self, piece: bytes | None) -> Iterator[bytes]:
        """What becomes of the next piece of the stream, or of its end."""
        try:
            events = self._parser.end() if piece is None else self._parser.feed(piece)
        except EventTooLongError as error:
            self._broken = _broken(str(error))
            return
        for data in events:
            if data.strip() == DONE:
                self._ended = True
                return
            try:
                chunk = _chunk(data)
            except Refusal as broken:
                self._broken = broken
                return
            # Rendering drops usage that was not asked for, and gives tool calls their indexes.
            self._tally.add_usage(chunk)
            yield self._rendering.chunk(chunk)
            self._tally.add(chunk)


def _chunk(data: bytes) -> dict[str, Any]:
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        chunk = None
    if type(chunk) is not dict:
        msg = "the endpoint's stream holds an event that is no JSON object"
        raise _broken(msg)
    error = chunk.get("error")
    if error:
        said = error if isinstance(error, dict) else {"message": str(error)}
        shown = said.get("message")
        msg = shown if isinstance(shown, str) else "the endpoint's stream broke off with an error"
        raise _broken(msg, {**said, "message": msg})
    # Some endpoints say null in the chunk that holds the usage.
    choices = chunk.get("choices") or []
    if type(choices) is not list or not all(type(choice) is dict for choice in choices):
        msg = "the endpoint's stream holds an event whose choices are no list of objects"
        raise _broken(msg)
    return chunk


def _broken(message: str, upstream: dict[str, Any] | None = None) -> Refusal:
    return Refusal(502, message, code="upstream_broken", upstream=upstream)
