"""Many paid calls: concurrent per endpoint, within a budget, each answer durable before it counts.

The collector and the judge differ only in what they ask and what they make of an answer: both hand
their calls to `run_calls`, with a sink that writes a batch of answers to the store. Answers are
written as they come, so that a killed run loses only what no sink had returned for.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from fusionfactory.errors import CallError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fusionfactory.clients import ChatReply, ChatRequest, Client
    from fusionfactory.pricing import CallPrice

__all__ = ["Answer", "Call", "Progress", "Summary", "run_calls"]

_NO_MODEL = 404
_NO_ACCESS = frozenset({401, 402})
_FAILURES_IN_A_ROW = 25
_INTERRUPTED = "interrupted"
_MOST_UNWRITTEN = 1_000
"""Answers that wait for the sink; they are lost if it fails, so no call starts beyond them."""


class Call(Protocol):
    """One call to make."""

    @property
    def endpoint(self) -> str:
        """Name of the client that makes it."""
        ...

    @property
    def request(self) -> ChatRequest:
        """What is asked."""
        ...

    @property
    def price(self) -> CallPrice:
        """What it costs."""
        ...


C = TypeVar("C", bound=Call)


@dataclass(frozen=True, slots=True)
class Answer(Generic[C]):
    """A call with what came of it: a reply, or an error.

    Attributes:
        cost_usd: Of a failed call too, where the endpoint said what it used; None when unknown.
        latency_s: Seconds of the attempt that succeeded; None for a failure.
    """

    call: C
    reply: ChatReply | None
    error: CallError | None
    cost_usd: float | None

    @property
    def latency_s(self) -> float | None:
        """Seconds of the attempt that succeeded."""
        return None if self.reply is None else self.reply.latency_s


@dataclass
class Progress:
    """How far a run has come; given to the progress callback after every write.

    Attributes:
        total: Calls of this run.
        done: Calls whose answers are written, failures included.
        failed: Those of them that failed.
        spent_usd: Cost of the answers of this run that are written, as far as costs are known.
        unpriced: Answers without a known cost.
        started_s: `time.perf_counter` at the start.
    """

    total: int
    done: int = 0
    failed: int = 0
    spent_usd: float = 0.0
    unpriced: int = 0
    started_s: float = field(default_factory=time.perf_counter)

    @property
    def per_second(self) -> float:
        """Answers written per second so far."""
        elapsed_s = time.perf_counter() - self.started_s
        return self.done / elapsed_s if elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds left at this rate; None before the first answer."""
        return (self.total - self.done) / self.per_second if self.done else None


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        done: Calls answered and written, failures included.
        failed: Those that failed.
        left: Calls not made: over budget, interrupted, or on an endpoint that was given up.
        spent_usd: Cost of this run, as far as costs are known.
        unpriced: Answers without a known cost.
        errors: What the failed calls said to how many said it, the most frequent first.
        stopped: Why calls are left, a sentence each.
        seconds: From start to end.
    """

    done: int
    failed: int
    left: int
    spent_usd: float
    unpriced: int
    errors: Mapping[str, int]
    stopped: tuple[str, ...]
    seconds: float


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
    _check(calls, clients, budget_usd)
    run = _Run(calls, clients, sink, budget_usd, spent_usd, progress)
    with _interrupts(run.interrupt):
        return await run.all()


def _check(calls: Sequence[Call], clients: Mapping[str, Client], budget_usd: float | None) -> None:
    for name in {call.endpoint for call in calls}:
        if name not in clients:
            msg = f"no client for the endpoint {name!r}; known: {', '.join(clients)}"
            raise ConfigError(msg, field="endpoint")
    if budget_usd is None:
        return
    for price, call in {call.price: call for call in calls}.items():
        if not price.known:
            msg = (
                f"a budget needs the price of every model, and that of {call.request.model!r} is "
                "unknown: set its input_price and output_price, or run without a budget"
            )
            raise ConfigError(msg, field="budget_usd")


class _Run(Generic[C]):
    def __init__(
        self,
        calls: Sequence[C],
        clients: Mapping[str, Client],
        sink: Callable[[list[Answer[C]]], None],
        budget_usd: float | None,
        spent_usd: float,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._queues: dict[str, deque[C]] = {}
        for call in calls:
            self._queues.setdefault(call.endpoint, deque()).append(call)
        self._clients = clients
        self._sink = sink
        self._budget_usd = budget_usd
        self._report = progress or (lambda _: None)
        self._progress = Progress(total=len(calls))
        self._answered_usd = spent_usd
        self._errors: Counter[str] = Counter()
        self._arrived: list[Answer[C]] = []
        self._unwritten = 0
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._closing = False
        self._stopped: list[str] = []
        self._refusals: dict[tuple[str, str | None], CallError] = {}
        self._failures: dict[str, int] = dict.fromkeys(self._queues, 0)
        self._workers: list[asyncio.Task[None]] = []

    async def all(self) -> Summary:
        """Runs workers and writer to the end."""
        self._report(self._progress)
        writer = asyncio.create_task(self._write())
        self._workers = [
            asyncio.create_task(self._work(name, queue))
            for name, queue in self._queues.items()
            for _ in range(min(self._clients[name].concurrency, len(queue)))
        ]
        try:
            await self._wait(writer)
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            self._closing = True
            self._news.set()
            await writer
        progress = self._progress
        if self._refusals and not progress.done:
            raise next(iter(self._refusals.values()))
        return Summary(
            done=progress.done,
            failed=progress.failed,
            left=progress.total - progress.done,
            spent_usd=progress.spent_usd,
            unpriced=progress.unpriced,
            errors=dict(self._errors.most_common()),
            stopped=tuple(self._stopped),
            seconds=time.perf_counter() - progress.started_s,
        )

    async def _wait(self, writer: asyncio.Task[None]) -> None:
        """Until every worker is done; an error of a worker or the writer ends the wait."""
        pending: set[asyncio.Task[None]] = {*self._workers}
        while pending:
            done, _ = await asyncio.wait({*pending, writer}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()
            pending -= done

    def interrupt(self) -> None:
        """First: no further call. Second: drop those in flight."""
        if _INTERRUPTED in self._stopped:
            for worker in self._workers:
                worker.cancel()
            return
        self._stop(_INTERRUPTED)

    def _stop(self, reason: str) -> None:
        self._stopped.append(reason)
        for name in self._queues:
            self._end(name)

    def _end(self, name: str) -> None:
        """No call of the endpoint starts any more, whether it waits here or in the client."""
        self._queues[name].clear()
        self._clients[name].drop_waiting()

    async def _work(self, name: str, queue: deque[C]) -> None:
        client = self._clients[name]
        while await self._has_next(queue):
            if self._budget_usd is not None and self._answered_usd >= self._budget_usd:
                self._stop(f"the budget of {self._budget_usd:g} USD is spent")
                return
            call = queue.popleft()
            try:
                reply = await client.complete(call.request)
            except CallError as error:
                if _is_refusal(error):
                    self._refuse(name, call, error)
                else:
                    self._fail(name, call, error)
            else:
                self._failures[name] = 0
                cost = call.price.usd(reply.input_tokens, reply.output_tokens, reply.usage)
                self._take(Answer(call, reply, None, cost))
                if cost is None and self._budget_usd is not None and queue:
                    self._end(name)
                    self._stopped.append(f"{name} does not say what a call used: no budget holds")

    async def _has_next(self, queue: deque[C]) -> bool:
        while queue and self._unwritten >= _MOST_UNWRITTEN:
            self._room.clear()
            await self._room.wait()
        return bool(queue)

    def _refuse(self, name: str, call: C, error: CallError) -> None:
        """Ends the endpoint, or of an unknown model the calls of the model; no outcome is left."""
        model = call.request.model if error.status == _NO_MODEL else None
        if model is None:
            self._end(name)
        else:
            queue = self._queues[name]
            others = [waiting for waiting in queue if waiting.request.model != model]
            queue.clear()
            queue.extend(others)
        if (name, model) not in self._refusals:
            self._refusals[name, model] = error
            self._stopped.append(f"{name} refuses: {error}")

    def _fail(self, name: str, call: C, error: CallError) -> None:
        cost = call.price.usd(error.input_tokens, error.output_tokens)
        self._take(Answer(call, None, error, cost))
        self._errors[str(error)] += 1
        self._failures[name] += 1
        if self._failures[name] >= _FAILURES_IN_A_ROW and self._queues[name]:
            self._end(name)
            self._stopped.append(
                f"{name} is given up after {_FAILURES_IN_A_ROW} failures in a row: {error}"
            )

    def _take(self, answer: Answer[C]) -> None:
        self._answered_usd += answer.cost_usd or 0.0
        self._arrived.append(answer)
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
                await asyncio.to_thread(self._sink, batch)
                self._unwritten -= len(batch)
                self._room.set()
                progress = self._progress
                progress.done += len(batch)
                progress.failed += sum(answer.reply is None for answer in batch)
                progress.spent_usd += sum(answer.cost_usd or 0.0 for answer in batch)
                progress.unpriced += sum(answer.cost_usd is None for answer in batch)
                self._report(progress)


def _is_refusal(error: CallError) -> bool:
    """Whether the settings or the account are at fault, so that other calls would fail likewise."""
    return error.status == _NO_MODEL or error.status in _NO_ACCESS


@contextmanager
def _interrupts(handle: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls `handle` meanwhile, where the loop can: on Unix, in the main thread."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, handle)
    except (NotImplementedError, RuntimeError, ValueError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
