"""How fast an endpoint may be called: a concurrency that adapts, pauses, and limits per minute."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fusionfactory.errors import InputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["LONGEST_WAIT_S", "Bucket", "Clock", "Leave", "Limiter", "Limits", "Slot", "Timer"]

LONGEST_WAIT_S = 300.0
"""An endpoint that asks for a longer pause is asked again after this one."""

_MINUTE_S = 60.0
_ROUNDING = 1e-6


class Timer(Protocol):
    """A callback to come."""

    def cancel(self) -> None:
        """Calls it off."""
        ...


class Clock(Protocol):
    """Tells the time in seconds and calls back; an event loop is one."""

    def time(self) -> float:
        """Seconds since some start."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer:
        """Calls back after a delay in seconds."""
        ...


class Leave(Protocol):
    """Leave for one attempt. Whoever holds it says how it went; silence changes nothing."""

    def succeeded(self) -> None:
        """The endpoint kept pace."""
        ...

    def overloaded(self, wait_s: float | None = None) -> None:
        """The endpoint said 429 or 503, and perhaps after how many seconds to ask again."""
        ...

    def used(self, tokens: float) -> None:
        """What the attempt really used."""
        ...


class Limits(Protocol):
    """What paces a client: a `Limiter` of its own, or a part in one that others share."""

    @property
    def concurrency(self) -> int:
        """Attempts at a time at most."""
        ...

    def slot(self, tokens: float = 0.0) -> AbstractAsyncContextManager[Leave]:
        """Waits for its turn, and holds a slot for as long as the block lasts."""
        ...


class Bucket:
    """So much per minute, at an even rate; what was not used for a second is lost.

    An amount larger than a second's worth passes when the bucket is full and leaves a debt, which
    later ones wait for.

    Args:
        per_minute: What flows in.
    """

    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / _MINUTE_S
        self._capacity = max(1.0, self._rate)
        self._level = self._capacity
        self._at: float | None = None

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until the amount may be taken; 0 for at once."""
        missing = min(amount, self._capacity) - self._filled(now)
        return missing / self._rate if missing > _ROUNDING else 0.0

    def take(self, now: float, amount: float) -> None:
        """Takes the amount, whatever is there; a negative one puts it back."""
        self._level = min(self._filled(now) - amount, self._capacity)
        self._at = now

    def _filled(self, now: float) -> float:
        passed_s = 0.0 if self._at is None else now - self._at
        return min(self._level + passed_s * self._rate, self._capacity)


@dataclass(eq=False, slots=True)
class Slot:
    """Leave for one attempt. Whoever holds it says how the attempt went; silence changes nothing.

    Attributes:
        limiter: Where it comes from.
        number: How many were given before.
        tokens: What it was expected to use.
    """

    limiter: Limiter
    number: int
    tokens: float

    def succeeded(self) -> None:
        """The endpoint kept pace: after a window of these, one more attempt at a time."""
        self.limiter.grow(self)

    def overloaded(self, wait_s: float | None = None) -> None:
        """The endpoint said 429 or 503: half as many at a time, and nobody before `wait_s`."""
        self.limiter.shrink(self, wait_s)

    def used(self, tokens: float) -> None:
        """Corrects the limit per minute by what the attempt really used."""
        self.limiter.settle(tokens - self.tokens)
        self.tokens = tokens

    def release(self) -> None:
        """Lets the next one through; once, by whoever called `Limiter.acquire` or `take`."""
        self.limiter.release()


class Limiter:
    """Lets attempts through in the order they came, as many at a time as the endpoint bears.

    Additive increase, multiplicative decrease: an overload halves the concurrency, at most once per
    round trip, for only attempts that began after the last cut count; as many successes as the
    concurrency add one. A waiter that is cancelled leaks nothing.

    Args:
        concurrency: Attempts at a time at most, and at first.
        requests_per_minute: Attempts begun per minute; None for any number.
        tokens_per_minute: Tokens per minute, of prompts and answers.
        clock: Tells the time; None takes the running event loop.

    Raises:
        InputError: A limit is not positive.
    """

    def __init__(
        self,
        concurrency: int = 16,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        _check_positive("concurrency", concurrency)
        _check_positive("requests_per_minute", requests_per_minute)
        _check_positive("tokens_per_minute", tokens_per_minute)
        self.concurrency = concurrency
        self._clock = clock
        self._requests = Bucket(requests_per_minute) if requests_per_minute else None
        self._tokens = Bucket(tokens_per_minute) if tokens_per_minute else None
        self._limit = concurrency
        self._in_flight = 0
        self._given = 0
        self._first_that_counts = 0
        self._successes = 0
        self._paused_until = float("-inf")
        self._waiting: deque[tuple[asyncio.Future[Slot], float]] = deque()
        self._timer: Timer | None = None

    @property
    def limit(self) -> int:
        """Attempts at a time that the endpoint bears as far as known."""
        return self._limit

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return self._in_flight

    @property
    def pause_s(self) -> float:
        """Seconds until the endpoint wants to be asked again; 0 for at once."""
        return max(self._paused_until - self._now().time(), 0.0)

    @asynccontextmanager
    async def slot(self, tokens: float = 0.0) -> AsyncIterator[Slot]:
        """Waits for its turn, and holds a slot for as long as the block lasts.

        Args:
            tokens: What the attempt will use, as far as one can tell.
        """
        slot = await self.acquire(tokens)
        try:
            yield slot
        finally:
            slot.release()

    async def acquire(self, tokens: float = 0.0) -> Slot:
        """Waits for its turn; the slot is held until it is released. See `slot`."""
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, tokens))
        self._admit()
        try:
            return await future
        except asyncio.CancelledError:
            # The slot may have been given in the very moment of the cancellation.
            self._in_flight -= future.done() and not future.cancelled()
            self._admit()
            raise

    def take(self, tokens: float = 0.0) -> Slot | None:
        """A slot without waiting, until it is released; None where one would have to wait."""
        if self._waiting or self._in_flight >= self._limit:
            return None
        now = self._now().time()
        return None if self._wait_s(now, tokens) > 0 else self._give(now, tokens)

    def release(self) -> None:
        """Takes a slot back; see `Slot.release`."""
        self._in_flight -= 1
        if self._waiting:
            self._admit()

    def grow(self, slot: Slot) -> None:
        """Counts a success; see `Slot.succeeded`."""
        if slot.number < self._first_that_counts:
            return
        self._successes += 1
        if self._successes >= self._limit and self._limit < self.concurrency:
            self._limit += 1
            self._successes = 0

    def shrink(self, slot: Slot, wait_s: float | None) -> None:
        """Counts an overload; see `Slot.overloaded`."""
        if slot.number >= self._first_that_counts:
            self._limit = max(self._limit // 2, 1)
            self._first_that_counts = self._given
            self._successes = 0
        if wait_s:
            until = self._now().time() + min(wait_s, LONGEST_WAIT_S)
            self._paused_until = max(self._paused_until, until)

    def settle(self, tokens: float) -> None:
        """Takes further tokens from the limit per minute, or puts some back."""
        if self._tokens:
            self._tokens.take(self._now().time(), tokens)

    def _now(self) -> Clock:
        return self._clock or asyncio.get_running_loop()

    def _admit(self) -> None:
        while self._waiting and self._in_flight < self._limit:
            future, tokens = self._waiting[0]
            if not future.done():
                now = self._now().time()
                wait_s = self._wait_s(now, tokens)
                if wait_s > 0:
                    self._wake_in(wait_s)
                    return
                future.set_result(self._give(now, tokens))
            self._waiting.popleft()

    def _give(self, now: float, tokens: float) -> Slot:
        if self._requests:
            self._requests.take(now, 1.0)
        if self._tokens:
            self._tokens.take(now, tokens)
        slot = Slot(self, self._given, tokens)
        self._given += 1
        self._in_flight += 1
        return slot

    def _wait_s(self, now: float, tokens: float) -> float:
        return max(
            self._paused_until - now,
            self._requests.wait_s(now, 1.0) if self._requests else 0.0,
            self._tokens.wait_s(now, tokens) if self._tokens else 0.0,
        )

    def _wake_in(self, wait_s: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._now().call_later(wait_s, self._admit)


def _check_positive(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        msg = f"{value} is no limit: expected a positive number"
        raise InputError(msg, field=name)
