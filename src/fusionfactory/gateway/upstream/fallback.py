"""One request on its way through the arms that may answer it, the best first."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import TYPE_CHECKING

from fusionfactory.clients.endpoint import expected_tokens
from fusionfactory.gateway.log.record import Attempt
from fusionfactory.gateway.upstream.answer import Answer
from fusionfactory.gateway.upstream.attempt import ask
from fusionfactory.gateway.upstream.failure import Failure
from fusionfactory.gateway.upstream.hedge import hedged

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from fusionfactory.clients.limits import Slot
    from fusionfactory.gateway.log.record import Record
    from fusionfactory.gateway.upstream.lane import Lane
    from fusionfactory.gateway.upstream.wording import Wording
    from fusionfactory.serve_settings import UpstreamSettings

__all__ = ["Fallback"]

_LONGEST_BACKOFF_S = 10.0
_UNAVAILABLE = 503
_PATIENCE = 1.5


class Fallback:
    """Asks arm after arm until one answers, then all over again after a pause, within limits.

    An arm that must not be asked now, for it failed too often or wants a pause, is passed over.
    An arm that takes the request to be at fault may mean its own model alone: it is not asked
    again, and the others are.

    Args:
        lanes: The ways to the arms, the best first.
        wording: The request.
        settings: Its limits.
        record: Gets every attempt.
    """

    def __init__(
        self, lanes: list[Lane], wording: Wording, settings: UpstreamSettings, record: Record
    ) -> None:
        self._lanes, self._wording, self._settings, self._record = lanes, wording, settings, record
        self._left = settings.attempts
        self._last: Failure | None = None
        self._passed_over: Failure | None = None
        self._blame: Failure | None = None

    async def run(self) -> Answer:
        """The first answer.

        Raises:
            Failure: There is none: the first one that blames the request, or else the last one of
                an endpoint, where any was asked.
            Refusal: A prompt cannot be made.
        """
        loop = asyncio.get_running_loop()
        patience: float | None = None
        rounds = 0
        while True:
            answer = await self._round()
            if answer is not None:
                return answer
            pause_s = self._pause_s(rounds)
            limit = self._wording.deadline
            if all(lane.breaker.wait_s > 0.0 for lane in self._lanes):
                # One probe is waited for; where it fails, so would whatever follows.
                patience = patience or loop.time() + _PATIENCE * self._settings.breaker_open_s
                limit = min(limit, patience)
            is_long = pause_s > self._settings.pause_s or loop.time() + pause_s > limit
            if self._left <= 0 or not self._lanes or is_long:
                raise self._failure()
            await asyncio.sleep(pause_s)
            rounds += 1

    async def _round(self) -> Answer | None:
        """Asks every arm once."""
        queue = deque(self._lanes)
        while queue and self._left > 0:
            lane = queue.popleft()
            after_s = self._settings.hedge_after_s
            try:
                if after_s is None:
                    return await self._try(lane, is_last=not queue)
                return await hedged(
                    self._try(lane, is_last=not queue), lambda: self._second(queue), after_s
                )
            except Failure as failure:
                if not failure.elsewhere:
                    raise
                if failure.blames_request:
                    self._blame = self._blame or failure
        return None

    def _second(self, queue: deque[Lane]) -> Coroutine[Any, Any, Answer] | None:
        """Asks the next arm that can be asked at once."""
        while queue and self._left > 0:
            lane = queue.popleft()
            if lane.wait_s == 0.0:
                return self._try(lane, is_last=False, hedge=True)
        return None

    async def _try(self, lane: Lane, *, is_last: bool, hedge: bool = False) -> Answer:
        """Asks an arm, if it may be asked."""
        if lane.wait_s > 0.0:
            raise self._pass_over(lane)
        call, strategy = await self._wording.of(lane.target)
        slot = await self._turn(lane, self._tokens(lane, call.content), is_last=is_last)
        if not lane.breaker.begin():
            slot.release()
            raise self._pass_over(lane)
        self._left -= 1
        attempt = Attempt(lane.target.name, 0.0, hedge=hedge)
        self._record.attempts.append(attempt)
        begun = time.perf_counter()
        failed: Failure | None = None
        ended = False
        try:
            reply = await ask(lane.pool, call)
            ended = True
        except Failure as failure:
            failed = failure
            self._note(lane, slot, attempt, failure)
            raise
        finally:
            attempt.latency_s = time.perf_counter() - begun
            if not ended:
                slot.release()
                if failed is None:
                    attempt.error = "dropped before it answered"
                    lane.breaker.abandoned()
        attempt.status = reply.response.status
        own = lane.target.arm.strategy
        self._record.strategy = None if strategy == own else strategy
        return Answer(lane, slot, call, reply, attempt, begun)

    def _note(self, lane: Lane, slot: Slot, attempt: Attempt, failure: Failure) -> None:
        self._last = failure
        attempt.status, attempt.error = failure.status, failure.message
        attempt.cost_usd = failure.cost_usd
        if failure.counts:
            lane.breaker.failed(failure.message)
        else:
            lane.breaker.answered()
        if failure.overload:
            slot.overloaded(failure.wait_s)
        if not failure.again:
            self._lanes.remove(lane)

    async def _turn(self, lane: Lane, tokens: float, *, is_last: bool) -> Slot:
        """Waits until the endpoint takes another call; not for long where another arm is left."""
        limiter = lane.pool.limiter
        slot = limiter.take(tokens)
        if slot is not None:
            return slot
        until = self._wording.deadline
        if not is_last:
            until = min(until, asyncio.get_running_loop().time() + self._settings.connect_s)
        try:
            async with asyncio.timeout_at(until):
                return await limiter.acquire(tokens)
        except TimeoutError:
            raise self._pass_over(lane) from None

    def _tokens(self, lane: Lane, content: bytes) -> float:
        return expected_tokens(self._wording.body, content) if lane.pool.counts_tokens else 0.0

    def _pass_over(self, lane: Lane) -> Failure:
        """Says why an arm is not asked; the record says it, too."""
        wait_s = lane.wait_s
        if lane.breaker.wait_s > 0.0:
            what = f"is left alone after {lane.breaker.failures} failures: {lane.breaker.last}"
        elif wait_s > 0.0:
            what = f"asked for a pause, of which {wait_s:.1f} s are left"
        else:
            what = f"takes no more calls than the {lane.pool.limiter.in_flight} under way"
        message = lane.pool.place.says(what)
        self._record.excluded = {**self._record.excluded, lane.target.name: message}
        self._passed_over = Failure(
            message, told=_UNAVAILABLE, counts=False, wait_s=wait_s, cost_usd=0.0
        )
        return self._passed_over

    def _pause_s(self, rounds: int) -> float:
        """Seconds until the next round: a random pause that grows, or until an arm may be asked."""
        if not self._lanes:
            return 0.0
        longest_s = min(lane.pool.backoff_s for lane in self._lanes) * 2.0**rounds
        backoff_s = random.random() * min(longest_s, _LONGEST_BACKOFF_S)  # noqa: S311
        return max(min(lane.wait_s for lane in self._lanes), backoff_s)

    def _failure(self) -> Failure:
        failure = self._blame or self._last or self._passed_over
        assert failure is not None  # noqa: S101  a round without an answer leaves one
        return failure
