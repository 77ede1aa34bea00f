"""The desk of a run on many machines: what must hold for all workers together is decided here.

One actor on the driver's node. It gives leave for every attempt, so that an endpoint's limits and
pauses and the budget hold over all workers; it keeps which calls are answered, so that a batch that
is done again asks for the rest only; and it passes the answers on to whoever writes them down.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.calls.ledger import Ledger, is_refusal
from fusionfactory.calls.written import MOST_UNWRITTEN
from fusionfactory.clients.limits import Limiter
from fusionfactory.errors import ClusterError
from fusionfactory.scale.messages import Delivery, News, Opened, Paid, Return, Want
from fusionfactory.scale.seat import Seat
from fusionfactory.scale.telling import told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.calls.ledger import Closing
    from fusionfactory.pricing import CallPrice
    from fusionfactory.scale.messages import End, Event

__all__ = ["LEASE_S", "Desk", "Orders"]

LEASE_S = 15.0
"""Seconds without a word after which a worker is taken for dead, and what it holds is free."""

_MOST_TRIES = 5
_LONGEST_S = 1.0
"""Seconds after which whoever listens is told that there is nothing new."""


@dataclass(frozen=True)
class Orders:
    """The calls of a run, as far as the desk has to know them.

    Attributes:
        limits: Endpoint to the arguments of its `Limiter`.
        endpoint_of: (n,) place of every call's endpoint in `limits`.
        prices: What calls cost.
        price_of: (n,) place of every call's price in `prices`.
        budget_usd: As `run_calls` has it.
        spent_usd: Likewise.
    """

    limits: Mapping[str, Mapping[str, Any]]
    endpoint_of: np.ndarray[tuple[int], np.dtype[np.int32]]
    prices: Sequence[CallPrice]
    price_of: np.ndarray[tuple[int], np.dtype[np.int32]]
    budget_usd: float | None = None
    spent_usd: float = 0.0


class Desk:
    """Gives leave to workers and takes their answers. All in one event loop.

    Args:
        orders: The calls.
        lease_s: Seconds after which a silent worker is taken for dead.
    """

    def __init__(self, orders: Orders, lease_s: float = LEASE_S) -> None:
        self._orders = orders
        self._names = tuple(orders.limits)
        self._lease_s = lease_s
        self._limiters = {name: Limiter(**limits) for name, limits in orders.limits.items()}
        self._ledger = Ledger(
            self._names, self._end, budget_usd=orders.budget_usd, spent_usd=orders.spent_usd
        )
        self._answered = np.zeros(len(orders.endpoint_of), dtype=bool)
        counts = np.bincount(orders.endpoint_of, minlength=len(self._names))
        self._left: dict[str, int] = dict(zip(self._names, counts.tolist(), strict=True))
        self._ends: dict[End, None] = {}
        self._seats: dict[str, Seat] = {}
        self._claims: dict[str, int] = {}
        self._opened: dict[int, tuple[int, int]] = {}
        self._replaced: set[str] = set()
        self._paid: list[Paid] = []
        self._unwritten = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._returning: Counter[int] = Counter()
        self._fault: str | None = None

    async def open(self, worker: str, numbers: Sequence[int]) -> Opened:
        """A worker takes a batch on; whoever had it before is taken for dead.

        Args:
            worker: Its name.
            numbers: The calls of the batch.
        """
        for before in [name for name, first in self._claims.items() if first == numbers[0]]:
            del self._claims[before]
            self._replaced.add(before)
            self._leave(before)
        self._claims[worker] = numbers[0]
        self._replaced.discard(worker)
        self._leave(worker)
        self._seats[worker] = Seat()
        self._stop_if_spent()
        wanted = [
            number
            for number in numbers
            if not self._answered[number] and (self._endpoint(number), None) not in self._ends
        ]
        if wanted and self._tries(numbers[0], len(wanted)) > _MOST_TRIES:
            endpoints = ", ".join(sorted({repr(self._endpoint(number)) for number in wanted}))
            msg = (
                f"{_MOST_TRIES} workers died over the same calls, without an answer to any "
                f"({len(wanted)} of calls {numbers[0] + 1:,} to {numbers[-1] + 1:,}, to {endpoints}"
                "): a node may have too little memory; what was answered is kept, and the next run "
                "goes on there"
            )
            await self.fail(told(ClusterError(msg)))
            wanted = []
        return Opened(tuple(wanted), tuple(self._ends))

    async def close(self, worker: str) -> None:
        """A worker is done with its batch."""
        self._claims.pop(worker, None)
        self._leave(worker)

    async def tell(self, worker: str, events: Sequence[Event]) -> None:
        """Enters what happened at a worker.

        Answers count before the slots of their attempts are free: no other call starts on a budget
        that they have spent.
        """
        seat = None if worker in self._replaced else self._seat(worker)
        slots = [seat.give_back(event) for event in events if seat and isinstance(event, Return)]
        returned = [slot for slot in slots if slot is not None]
        self._returning = Counter(id(slot.limiter) for slot in returned)
        for event in events:
            if isinstance(event, Delivery) and not self._answered[event.number]:
                self._take(event)
        self._stop_if_spent()
        self._returning.clear()
        for slot in returned:
            slot.release()
        for event in events:
            if seat and isinstance(event, Want):
                self._line_up(seat, event)

    async def hear(self, worker: str) -> News:
        """What a worker is to know, as soon as there is something.

        Asking again and again shows that the worker is alive.
        """
        self._bury_the_silent()
        if worker in self._replaced:
            return News(drop=True)
        seat = self._seat(worker)
        return await seat.news(min(_LONGEST_S, self._lease_s / 4))

    async def answers(self, longest_s: float) -> list[Paid]:
        """Answers to write down, as soon as there are some, or after a while; for one listener."""
        self._bury_the_silent()
        try:
            async with asyncio.timeout(longest_s):
                await self._news.wait()
        except TimeoutError:
            return []
        self._news.clear()
        paid, self._paid = self._paid, []
        return paid

    async def written(self, count: int) -> None:
        """So many answers are durable."""
        self._unwritten -= count
        if self._unwritten < MOST_UNWRITTEN:
            self._room.set()

    async def stop(self, reason: str) -> None:
        """No further call starts."""
        self._ledger.stop(reason)

    async def drop(self) -> None:
        """The calls under way are dropped, too."""
        for seat in self._seats.values():
            seat.drop()

    async def rests(self) -> bool:
        """Whether every endpoint has ended and no attempt is under way."""
        return all(
            (name, None) in self._ends and not limiter.in_flight
            for name, limiter in self._limiters.items()
        )

    async def fail(self, fault: str) -> None:
        """A worker cannot go on, for a reason that ends the run, as `telling` tells it."""
        if self._fault is None:
            self._fault = fault
            self._ledger.stop("a worker cannot go on")
            await self.drop()

    async def closing(self) -> tuple[Closing, str | None]:
        """What the run came to; with what a worker could not go on for, as `fail` was told."""
        return self._ledger.closing(), self._fault

    def _take(self, event: Delivery) -> None:
        self._answered[event.number] = True
        name = self._endpoint(event.number)
        self._left[name] -= 1
        price = self._orders.prices[self._orders.price_of[event.number]]
        if event.error is not None and is_refusal(event.error):
            self._ledger.refused(name, event.model, event.error)
            return
        cost, more = None, self._has_more(name)
        if event.error is not None:
            cost = self._ledger.failed(name, price, event.error, more=more)
        elif event.reply is not None:
            cost = self._ledger.answered(name, price, event.reply, more=more)
        self._paid.append(Paid(event, cost))
        self._news.set()
        self._unwritten += 1
        if self._unwritten >= MOST_UNWRITTEN:
            self._room.clear()

    def _line_up(self, seat: Seat, want: Want) -> None:
        end = want.endpoint, None
        if end in self._ends:
            # It was under way when that ended, has failed, and would wait for ever to try again.
            seat.end([end])
        else:
            seat.wait(want, self._limiters[want.endpoint], self._room)

    def _tries(self, first: int, left: int) -> int:
        """How often a batch was taken on without an answer since."""
        before, tries = self._opened.get(first, (left, 0))
        tries = tries + 1 if before == left else 1
        self._opened[first] = left, tries
        return tries

    def _endpoint(self, number: int) -> str:
        return self._names[int(self._orders.endpoint_of[number])]

    def _has_more(self, name: str) -> bool:
        """Whether calls of the endpoint are left to start."""
        limiter = self._limiters[name]
        started = limiter.in_flight - self._returning[id(limiter)]
        return (name, None) not in self._ends and self._left[name] > started

    def _stop_if_spent(self) -> None:
        if any(self._has_more(name) for name in self._names):
            self._ledger.allows()

    def _end(self, endpoint: str, model: str | None) -> None:
        if (endpoint, model) not in self._ends:
            self._ends[endpoint, model] = None
            for seat in self._seats.values():
                seat.end([(endpoint, model)])

    def _seat(self, worker: str) -> Seat:
        """The worker's; one that was taken for dead gets another."""
        seat = self._seats.get(worker)
        if seat is None:
            seat = self._seats[worker] = Seat(forgotten=True)
        seat.seen_s = asyncio.get_running_loop().time()
        return seat

    def _leave(self, worker: str) -> None:
        seat = self._seats.pop(worker, None)
        if seat is not None:
            seat.leave()

    def _bury_the_silent(self) -> None:
        now = asyncio.get_running_loop().time()
        for worker, seat in list(self._seats.items()):
            if now - seat.seen_s > self._lease_s:
                self._leave(worker)
