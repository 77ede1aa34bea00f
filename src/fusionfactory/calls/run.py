"""The runner of one process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic

from fusionfactory.calls.base import Answer, C
from fusionfactory.calls.crew import Crew
from fusionfactory.calls.interrupts import interrupts
from fusionfactory.calls.ledger import INTERRUPTED, Ledger, check_calls, is_refusal
from fusionfactory.calls.written import MOST_UNWRITTEN, Written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fusionfactory.calls.base import Progress, Summary
    from fusionfactory.clients import ChatReply, Client
    from fusionfactory.errors import CallError

__all__ = ["run_calls"]


async def run_calls(
    calls: Sequence[C],
    clients: Mapping[str, Client],
    sink: Callable[[list[Answer[C]]], None],
    *,
    budget_usd: float | None = None,
    spent_usd: float = 0.0,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Makes calls, in their order per endpoint, and hands the answers to a sink.

    The first Ctrl-C starts no further call and waits for those in flight, whose answers are paid;
    the second drops them.

    Args:
        calls: What to ask.
        clients: Endpoint name to client.
        sink: Writes answers durably; runs in a thread, one batch at a time.
        budget_usd: No call starts once the answers so far have cost this much, so the budget is
            overrun by the calls in flight at most. An endpoint whose reply does not say what it
            used gets no further call.
        spent_usd: What earlier runs have used of the budget.
        progress: Told after every write.

    Raises:
        ConfigError: A budget is given and a call has no known price, or a client is missing.
        CallError: Every endpoint refused (wrong key, unknown model) and nothing was answered.
    """
    check_calls(calls, clients, budget_usd)
    run = _Run(calls, clients, Written(len(calls), sink, progress), budget_usd, spent_usd)
    with interrupts(run.interrupt):
        return await run.all()


class _Run(Generic[C]):
    def __init__(
        self,
        calls: Sequence[C],
        clients: Mapping[str, Client],
        written: Written[C],
        budget_usd: float | None,
        spent_usd: float,
    ) -> None:
        self._crew = Crew(calls, clients, may_start=self._may_start, told=self._take)
        self._ledger = Ledger(
            self._crew.endpoints, self._crew.end, budget_usd=budget_usd, spent_usd=spent_usd
        )
        self._written = written
        self._arrived: list[Answer[C]] = []
        self._unwritten = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._closing = False

    async def all(self) -> Summary:
        """Runs crew and writer to the end."""
        writer = asyncio.create_task(self._write())
        try:
            await self._crew.work(writer)
        finally:
            self._closing = True
            self._news.set()
            await writer
        return self._written.summary(self._ledger.closing())

    def interrupt(self) -> None:
        """First: no further call. Second: drop those in flight."""
        if INTERRUPTED in self._ledger.stopped:
            self._crew.drop()
        else:
            self._ledger.stop(INTERRUPTED)

    async def _may_start(self) -> bool:
        while self._unwritten >= MOST_UNWRITTEN:
            self._room.clear()
            await self._room.wait()
        return self._ledger.allows()

    def _take(self, call: C, reply: ChatReply | None, error: CallError | None) -> None:
        name = call.endpoint
        cost = None
        more = self._crew.has_more(name)
        if error is not None and is_refusal(error):
            self._ledger.refused(name, call.request.model, error)
            return
        if error is not None:
            cost = self._ledger.failed(name, call.price, error, more=more)
        elif reply is not None:
            cost = self._ledger.answered(name, call.price, reply, more=more)
        self._arrived.append(Answer(call, reply, error, cost))
        self._unwritten += 1
        self._news.set()

    async def _write(self) -> None:
        last = False
        while not last:
            await self._news.wait()
            self._news.clear()
            last = self._closing
            batch, self._arrived = self._arrived, []
            if batch:
                await self._written.write(batch)
                self._unwritten -= len(batch)
                self._room.set()
