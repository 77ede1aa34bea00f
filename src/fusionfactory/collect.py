"""The collector: queries x arms into outcomes, resumable, rate-limited, budgeted.

An outcome is keyed by (query, arm, sample). What the store holds already is not asked again, so a
run that was interrupted, or killed, goes on where it stopped by running it again. A failed call is
an outcome with an error; `retry_failed` asks those again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, zip_longest
from typing import TYPE_CHECKING
from uuid import uuid4

from fusionfactory.calls import Answer, Progress, Runner, Summary, run_calls
from fusionfactory.errors import StoreError
from fusionfactory.types import Arm, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fusionfactory.clients import ChatRequest, Client
    from fusionfactory.pricing import CallPrice
    from fusionfactory.store import Store
    from fusionfactory.types import Query

__all__ = ["ArmCall", "collect", "interleaved"]


@dataclass(frozen=True, slots=True)
class ArmCall:
    """One arm to ask one query, once.

    Attributes:
        query: What is asked.
        arm: What answers.
        request: The call as it is sent.
        endpoint: Name of the client that makes it.
        price: What it costs.
        sample: Repetition, from 0.
    """

    query: Query
    arm: Arm
    request: ChatRequest
    endpoint: str
    price: CallPrice
    sample: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """Of the outcome, as `Store.keys` has it."""
        return self.query.id, self.arm.name, self.sample


def interleaved(queries: Iterable[Query]) -> list[Query]:
    """The queries with their tasks in turn, so that any prefix covers every task."""
    by_task: dict[str | None, list[Query]] = {}
    for query in queries:
        by_task.setdefault(query.task, []).append(query)
    rounds = zip_longest(*by_task.values())
    return [query for query in chain.from_iterable(rounds) if query is not None]


def collect(
    store: Store,
    calls: Sequence[ArmCall],
    clients: Mapping[str, Client],
    *,
    budget_usd: float | None = None,
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
    run: Runner = run_calls,
) -> Summary:
    """Makes the calls whose outcomes the store does not hold, and stores what comes back.

    Args:
        store: Gets the queries, the arms with their prices, and the outcomes.
        calls: In the order in which they are made, per endpoint.
        clients: Endpoint name to client; closed at the end.
        budget_usd: For all the calls given, what the store holds of them included: no call starts
            once they have cost this much.
        retry_failed: Ask failed outcomes again.
        progress: Told after every write.
        run: Makes the calls: in this process, or on a Ray cluster.

    Raises:
        ConfigError: A budget is given and a model has no known price, or a client is missing.
        CallError: Every endpoint refused: wrong key or unknown model.
        StoreError: The store cannot be written, or another run makes the same calls.
    """
    store.add_queries({call.query.id: call.query for call in calls}.values())
    store.add_arms({call.arm.name: _priced(call) for call in calls}.values())
    held = store.keys(failed=not retry_failed)
    # What was paid for by a failure is not to be had again by the same key.
    anew = uuid4().hex if retry_failed else ""
    missing = [_told_apart(call, anew) for call in calls if call.key not in held]
    spent_usd = 0.0 if budget_usd is None else _spent_usd(store, calls)

    def write(answers: list[Answer[ArmCall]]) -> None:
        outcomes = [_outcome(answer) for answer in answers]
        if retry_failed:
            store.upsert(outcomes)
        else:
            _append(store, outcomes)

    async def all_calls() -> Summary:
        try:
            return await run(
                missing,
                clients,
                write,
                budget_usd=budget_usd,
                spent_usd=spent_usd,
                progress=progress,
            )
        finally:
            for client in clients.values():
                await client.close()

    return asyncio.run(all_calls())


def _append(store: Store, outcomes: list[Outcome]) -> None:
    """Adds outcomes; where another run was faster, those that it does not have, and ends this."""
    try:
        store.append(outcomes)
    except StoreError:
        there = store.keys()
        new = [o for o in outcomes if (o.query_id, o.arm, o.sample) not in there]
        if len(new) == len(outcomes):
            raise
        store.append(new)
        msg = (
            f"{store!r}: another run makes the same calls and has stored some of them first; "
            "this one ends, for they would be paid twice. Run it again after that one"
        )
        raise StoreError(msg) from None


def _told_apart(call: ArmCall, anew: str) -> ArmCall:
    """The call with its outcome's key, so that it can be made again without being paid again."""
    query_id, arm, sample = call.key
    occasion = f"{query_id} {arm} {sample} {anew}".rstrip()
    return replace(call, request=replace(call.request, occasion=occasion))


def _priced(call: ArmCall) -> Arm:
    prices = call.price.per_million()
    return Arm(call.arm.model, call.arm.strategy, *prices, call.arm.description)


def _spent_usd(store: Store, calls: Sequence[ArmCall]) -> float:
    wanted = {call.key for call in calls}
    held = store.outcomes()
    return sum(o.cost_usd or 0.0 for o in held if (o.query_id, o.arm, o.sample) in wanted)


def _outcome(answer: Answer[ArmCall]) -> Outcome:
    call, reply, error = answer.call, answer.reply, answer.error
    query_id, arm, sample = call.key
    used = reply or error
    return Outcome(
        query_id=query_id,
        arm=arm,
        sample=sample,
        response=None if reply is None else reply.text,
        input_tokens=None if used is None else used.input_tokens,
        output_tokens=None if used is None else used.output_tokens,
        cost_usd=answer.cost_usd,
        latency_s=answer.latency_s,
        error=None if error is None else str(error),
        created=datetime.now(UTC),
        finish_reason=None if reply is None else reply.finish_reason,
        logprob=None if reply is None else reply.logprob,
    )
