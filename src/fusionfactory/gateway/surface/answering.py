"""From a request to its answer: who may ask, who answers, what it cost, and what is kept of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeAlias

from fusionfactory.gateway.access.spent import spent
from fusionfactory.gateway.log.record import Record
from fusionfactory.gateway.planning.deciding import decide
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.replay import Recorded, chunks
from fusionfactory.gateway.surface.relay import Relay
from fusionfactory.gateway.surface.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.gateway.access import Admission
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.parts import Answer
    from fusionfactory.gateway.planning.run import PlanRun
    from fusionfactory.gateway.routing.ask import Routed
    from fusionfactory.gateway.surface.exchange import Exchange
    from fusionfactory.gateway.surface.form import Request

__all__ = ["Reader", "answer"]

Reader: TypeAlias = "Callable[[Exchange, dict[str, Any], int, Client], Request]"
"""Reads a body of so many bytes from a client."""

_LEFT = 499
_RECORDED = ("chat", "completions")
"""The streams that make whole answers, too; responses are streamed otherwise."""

_GRACE_S = 1.0
"""What a client gets beyond the deadline to be told that the endpoint has missed it."""


async def answer(exchange: Exchange, read: Reader) -> None:
    """Answers a request, and keeps a record of it.

    Args:
        exchange: The request.
        read: Reads its body.

    Raises:
        Refusal: It gets no answer.
    """
    try:
        request, client, admission = await _let_in(exchange, read)
    except Refusal as refusal:
        exchange.gateway.metrics.turn_away(refusal.status)
        raise
    await _Answering(exchange, request, client, admission).run()


async def _let_in(exchange: Exchange, read: Reader) -> tuple[Request, Client, Admission]:
    gateway = exchange.gateway
    client = gateway.access.authorise(exchange.headers)
    gateway.journal.check()
    body, size = await exchange.read_object()
    request = read(exchange, body, size, client)
    await gateway.access.prepare(client)
    admission = gateway.access.admit(client, request.ask.input_tokens)
    for name, value in admission.headers.items():
        exchange.notes.append((name.encode(), value.encode()))
    return request, client, admission


class _Answering:
    """One request that was let in."""

    def __init__(
        self, exchange: Exchange, request: Request, client: Client, admission: Admission
    ) -> None:
        self._exchange, self._request, self._client = exchange, request, client
        self._admission = admission
        self._gateway = exchange.gateway
        self._answer: Answer | None = None
        self._tally = Tally()
        self._is_over = False
        ask = request.ask
        self._record = Record(
            exchange.id,
            exchange.at,
            api=request.api,
            asked=ask.model,
            key=client.key,
            session=ask.session,
            stream=request.is_stream,
            text=ask.text,
            messages=request.messages,
        )

    async def run(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  coroutines run in tasks
        watch = asyncio.get_running_loop().create_task(self._watch(task))
        try:
            await self._run()
        except asyncio.CancelledError:
            self._note(_LEFT, "the client left before the end of the answer")
            if self._exchange.gone:
                task.uncancel()
            await self._finish()
            if not self._exchange.gone:
                raise
        except Refusal as refusal:
            self._note(refusal.status, refusal.message)
            await self._finish()
            raise
        finally:
            watch.cancel()
            if not self._is_over:
                self._note(500, "the gateway failed")
                await self._finish()

    async def _watch(self, task: asyncio.Task[Any]) -> None:
        await self._exchange.left()
        if not self._is_over:
            task.cancel()

    async def _run(self) -> None:
        request, record = self._request, self._record
        key = self._cache_key()
        if key is not None and await self._reply_again(key):
            return
        routed, run = await decide(self._gateway, request, self._client)
        self._decided(routed)
        if run is not None:
            await self._by_plan(run, key)
            return
        waited = time.perf_counter()
        try:
            self._answer = await self._gateway.upstreams.open(
                request.body,
                routed.arms,
                self._gateway.prompts,
                record,
                ask=request.ask,
                path=request.path,
                deadline=self._gateway.settings.upstream.deadline_s,
            )
        except Refusal as refusal:
            raise refusal.final() from None
        finally:
            record.upstream_s = time.perf_counter() - waited
        record.arm = self._answer.target.name
        if record.arm != record.chosen:
            self._gateway.decider.answered(request.ask.session, record.arm)
        self._exchange.note("arm", record.arm)
        self._estimated(record.arm)
        if self._answer.body is None:
            await self._stream(self._answer, key)
        else:
            await self._whole(self._answer, self._answer.body, key)

    def _cache_key(self) -> str | None:
        request, ask = self._request, self._request.ask
        told = {"fusionfactory": [ask.metric, ask.task]} if ask.metric or ask.task else {}
        return self._gateway.cache.key(
            self._client.key, request.path, request.body | told, ask.policy
        )

    async def _reply_again(self, key: str) -> bool:
        """Answers from the cache, where it can."""
        self._record.cache = "miss"
        kept = self._gateway.cache.get(key)
        if kept is None:
            return False
        record = self._record
        record.cache, record.cost_usd, record.status = "hit", 0.0, 200
        record.arm = str(kept["model"])
        self._tally.add(kept)
        self._tally.tell(record)
        self._exchange.note("decision", record.id)
        self._exchange.note("arm", record.arm)
        self._exchange.note("cache", "hit")
        await self._give(kept, record.arm)
        return True

    async def _by_plan(self, run: PlanRun, key: str | None) -> None:
        """Answers by a plan."""
        record = self._record
        try:
            document = await run.answer(
                self._gateway, self._client, self._request, record, self._admission
            )
        except Refusal as refusal:
            raise refusal.final() from None
        name = str(record.arm)
        self._exchange.note("arm", name)
        self._estimated(name)
        self._exchange.note("cost-usd", record.cost_usd)
        for told, value in run.notes():
            self._exchange.note(told, value)
        if key is not None:
            self._gateway.cache.put(key, {**document, "model": name})
        await self._give(document, name)

    async def _give(self, kept: dict[str, Any], arm: str) -> None:
        """Gives a whole answer, in one piece or as a stream."""
        if not self._request.is_stream:
            document = self._request.form.whole(kept, arm)
            await self._finish()
            await self._exchange.reply(document)
            return
        rendering = self._request.form.stream(arm)
        await self._exchange.begin_stream()
        sent = rendering.begin()
        sent += b"".join([rendering.chunk(chunk) for chunk in chunks(kept)])
        await self._exchange.write(sent)
        await self._finish()
        await self._exchange.end(rendering.end())

    def _decided(self, routed: Routed) -> None:
        record, note = self._record, self._exchange.note
        record.policy, record.router, record.why = routed.policy, routed.router, routed.why
        record.chosen = routed.arms[0]
        record.propensity, record.propensities = routed.propensity, routed.propensities
        record.estimates, record.excluded = routed.estimates, routed.excluded
        record.shadow = routed.shadow
        note("decision", record.id)
        note("router", routed.router)
        note("policy", routed.policy)
        note("why", routed.why)
        if routed.plan is not None:
            note("plan", routed.plan)
            note("plan-passed-over", routed.excluded.get(routed.plan))

    def _estimated(self, arm: str) -> None:
        quality, cost = self._record.estimates.get(arm, (None, None))
        self._exchange.note("expected-quality", quality)
        self._exchange.note("expected-cost-usd", cost)

    async def _whole(self, answer: Answer, body: dict[str, Any], key: str | None) -> None:
        record = self._record
        self._tally.add_usage(body)
        self._tally.add(body)
        record.status = 200
        document = self._request.form.whole(body, answer.target.name)
        if key is not None:
            self._gateway.cache.put(key, {**body, "model": answer.target.name})
        await self._finish()
        self._exchange.note("cost-usd", record.cost_usd)
        await self._exchange.reply(document)

    async def _stream(self, answer: Answer, key: str | None) -> None:
        """Passes a stream on, to a client that takes it: one that does not holds up others."""
        deadline_s = self._gateway.settings.upstream.deadline_s
        left_s = max(deadline_s - self._exchange.elapsed_s, 0.0)
        try:
            async with asyncio.timeout(left_s + _GRACE_S):
                await self._relay(answer, key)
        except TimeoutError:
            self._exchange.gone = True
            self._note(_LEFT, f"the client did not take the answer within {deadline_s:g} s")
            await self._finish()

    async def _relay(self, answer: Answer, key: str | None) -> None:
        record = self._record
        record.status = 200
        rendering = self._request.form.stream(answer.target.name)
        recorded = None
        if key is not None and self._request.api in _RECORDED:
            rendering = recorded = Recorded(rendering)
        try:
            await Relay(self._exchange, answer, rendering, self._tally, record).run()
        except Refusal as broken:
            self._note(200, broken.message)
            await self._finish()
            await self._exchange.end(rendering.fail(broken.body()["error"]))
            return
        if key is not None and recorded is not None:
            self._gateway.cache.put(key, recorded.assembly.answer(answer.target.name))
        await self._finish()
        await self._exchange.end(rendering.end())

    def _note(self, status: int, error: str) -> None:
        if self._is_over:
            return
        record = self._record
        record.status, record.error = status, error
        if self._answer is not None:
            self._answer.attempt.error = self._answer.attempt.error or error

    async def _finish(self) -> None:
        """Writes the record, once; what comes after it is but the end of the answer."""
        if self._is_over:
            return
        self._is_over = True
        record = self._record
        try:
            if self._answer is not None:
                await self._answer.close()
                self._tally.fill(record, self._answer.target, self._answer.attempt)
        finally:
            if record.plan is None:
                # A plan's calls were charged one by one.
                self._admission.settle(*spent(record, answered=self._answer is not None))
        record.latency_s = self._exchange.elapsed_s
        if record.first_byte_s is None and record.error is None:
            record.first_byte_s = record.latency_s
        self._gateway.metrics.observe(record)
        await self._gateway.journal.write(record)
