"""Paid calls on a Ray cluster: many machines, one set of limits, one budget, one who writes.

The calls are laid out in shards; a pool of workers makes them, a shard at a time. The desk, an
actor beside the driver, gives leave for every attempt and takes every answer, and the driver writes
the answers to the store as they come: so any store will do.

A worker whose process or node dies leaves its shard to another one, which asks for what is not
answered yet. Calls that were under way in the dead process are asked again with the same
`Idempotency-Key`; a provider that ignores that header charges such a call twice. So does a worker
that is cut off from the cluster but not from the provider. If the driver dies, the run ends as one
on a single machine does: the next run goes on with what the store lacks.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.calls.base import Answer
from fusionfactory.calls.interrupts import interrupts
from fusionfactory.calls.ledger import INTERRUPTED, Ledger, check_calls
from fusionfactory.calls.written import Written
from fusionfactory.plan import endpoint_name
from fusionfactory.scale.call_worker import call_schema, rows_of
from fusionfactory.scale.cluster import cluster
from fusionfactory.scale.desk import Orders
from fusionfactory.scale.hands import RayHands
from fusionfactory.scale.shards import laid_out, shards_place
from fusionfactory.scale.telling import raised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fusionfactory.calls import Progress, Runner, Summary
    from fusionfactory.calls.base import C
    from fusionfactory.clients import Client
    from fusionfactory.config import Config, ModelSettings
    from fusionfactory.scale.hands import Hands
    from fusionfactory.scale.shards import Shards

__all__ = ["SharedCalls", "ray_calls"]

_SHARDS_PER_WORKER = 4
_LONGEST_S = 0.25
_PATIENCE_S = 10.0
"""For work that is over to end, when no call is under way any more."""


@contextmanager
def ray_calls(
    config: Config,
    models: Sequence[ModelSettings],
    store: str,
    *,
    structured: bool = False,
) -> Iterator[Runner]:
    """A runner whose calls are made on the cluster of the settings.

    Workers make the clients themselves, from the settings and with the keys of their own
    environment; local models have to lie at the same path on every node, and are loaded once by
    every worker. Costs, limits per minute, concurrency and pauses are as on one machine.

    Args:
        config: `[scale]`, the endpoints and the models.
        models: Those that may be asked.
        store: Where shards are laid out if the settings name no folder: beside it.
        structured: Hold replies to a JSON schema where the endpoint offers it; see `Judge`.

    Raises:
        MissingExtraError, ConfigError: As `cluster` and `shards_place`.
    """
    # A second interrupt leaves work behind, which would start a cluster of its own.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    with cluster(config.scale):
        place = shards_place(config.scale, store)
        yield SharedCalls(config, models, place, RayHands(config.scale), structured=structured)


class SharedCalls:
    """The runner whose calls are made by many workers, with one desk.

    Args:
        config: The endpoints, the models, and `[scale]`: how long a shard may be.
        models: Those that may be asked.
        place: Folder or URL where shards are laid out.
        hands: Those who work.
        structured: See `ray_calls`.
    """

    def __init__(
        self,
        config: Config,
        models: Sequence[ModelSettings],
        place: str,
        hands: Hands,
        *,
        structured: bool = False,
    ) -> None:
        self._config, self._models, self._place = config, models, place
        self._hands = hands
        self._structured = structured

    async def __call__(
        self,
        calls: Sequence[C],
        clients: Mapping[str, Client],
        sink: Callable[[list[Answer[C]]], None],
        *,
        budget_usd: float | None = None,
        spent_usd: float = 0.0,
        progress: Callable[[Progress], None] | None = None,
    ) -> Summary:
        """As `run_calls`; of the clients only the names count.

        Raises:
            ConfigError, CallError: As `run_calls`.
            InputError: A request is no JSON.
            ClusterError: The cluster has given the work up, or the desk is lost.
            FusionFactoryError: What a worker met and cannot go on for.
        """
        check_calls(calls, clients, budget_usd)
        written = Written(len(calls), sink, progress)
        if not calls:
            return written.summary(Ledger((), lambda *_: None).closing())
        shares = _SHARDS_PER_WORKER * self._hands.workers
        rows_each = min(self._config.scale.shard_rows, -(-len(calls) // shares))
        orders = self._orders(calls, budget_usd, spent_usd)
        with (
            laid_out(rows_of(calls), call_schema(), self._place, rows_each) as shards,
            self._hands.desk(orders) as desk,
        ):
            return await self._run(desk, shards, calls, written)

    def _orders(self, calls: Sequence[C], budget_usd: float | None, spent_usd: float) -> Orders:
        limits: dict[str, dict[str, Any]] = {
            item.name: item.model_dump(
                include={"concurrency", "requests_per_minute", "tokens_per_minute"}
            )
            for item in self._config.endpoints
        }
        for model in self._models:
            limits.setdefault(endpoint_name(model), {"concurrency": self._hands.workers})
        names = {name: place for place, name in enumerate(limits)}
        prices = {price: place for place, price in enumerate({call.price: None for call in calls})}
        return Orders(
            limits,
            np.fromiter((names[call.endpoint] for call in calls), np.int32, len(calls)),
            list(prices),
            np.fromiter((prices[call.price] for call in calls), np.int32, len(calls)),
            budget_usd,
            spent_usd,
        )

    async def _run(
        self,
        desk: Any,  # noqa: ANN401  a handle
        shards: Shards,
        calls: Sequence[C],
        written: Written[C],
    ) -> Summary:
        arguments = {
            "desk": desk,
            "settings": _settings(self._config),
            "models": [model.name for model in self._models],
            "structured": self._structured,
            "files": shards.files,
        }
        # Of its own, for nobody waits at the end for one that is stuck.
        thread = ThreadPoolExecutor(1, thread_name_prefix="work")
        work = asyncio.get_running_loop().run_in_executor(
            thread, self._hands.work, shards, arguments
        )
        thread.shutdown(wait=False)
        interrupt = _Interrupt(desk)
        with interrupts(interrupt):
            try:
                await _write(desk, work, calls, written, interrupt)
            except BaseException:
                desk.stop.remote("the answers cannot be written")
                desk.drop.remote()
                for ended in (await asyncio.wait({work}, timeout=_PATIENCE_S))[0]:
                    # Looked at, or asyncio tells of it, too.
                    ended.exception()
                raise
            await asyncio.wait({work}, timeout=_PATIENCE_S)
        if work.done():
            work.result()
        closing, fault = await desk.closing.remote()
        if fault is not None:
            raise raised(fault)
        return written.summary(closing)


def _settings(config: Config) -> str:
    """What workers make their clients from; they may have another working directory."""
    models = tuple(
        model if model.gguf is None else model.model_copy(update={"gguf": model.gguf.absolute()})
        for model in config.models
    )
    shown = config.model_copy(update={"models": models})
    return shown.model_dump_json(include={"endpoints", "models"})


class _Interrupt:
    """First: no further call. Second: drop those in flight, and wait for nobody."""

    def __init__(self, desk: Any) -> None:  # noqa: ANN401  a handle
        self._desk = desk
        self._came = False
        self.dropped = False

    def __call__(self) -> None:
        if self._came:
            self.dropped = True
            self._desk.drop.remote()
        else:
            self._came = True
            self._desk.stop.remote(INTERRUPTED)


async def _write(
    desk: Any,  # noqa: ANN401  a handle
    work: asyncio.Future[None],
    calls: Sequence[C],
    written: Written[C],
    interrupt: _Interrupt,
) -> None:
    """Writes the answers as they come, until the work is done and all are written.

    After a second interrupt it is enough that no call is under way: workers that the cluster never
    starts are not waited for.
    """
    last = False
    while not last:
        ended = work.done() or (interrupt.dropped and await desk.rests.remote())
        paid = await desk.answers.remote(0 if ended else _LONGEST_S)
        last = ended and not paid
        if paid:
            answers = [
                Answer(calls[p.delivery.number], p.delivery.reply, p.delivery.error, p.cost_usd)
                for p in paid
            ]
            await written.write(answers)
            await desk.written.remote(len(answers))
