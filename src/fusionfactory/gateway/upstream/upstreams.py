"""Every endpoint of the fleet, called for clients that wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fusionfactory.clients.limits import Limiter
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.upstream.breaker import Breaker
from fusionfactory.gateway.upstream.failure import Failure, Place
from fusionfactory.gateway.upstream.fallback import Fallback
from fusionfactory.gateway.upstream.lane import Lane
from fusionfactory.gateway.upstream.local import LlamaServer
from fusionfactory.gateway.upstream.pool import Pool
from fusionfactory.gateway.upstream.wording import Wording

if TYPE_CHECKING:
    from fusionfactory.config import ModelSettings
    from fusionfactory.gateway.fleet import Fleet, Target
    from fusionfactory.gateway.log.record import Record
    from fusionfactory.gateway.parts import Prompts
    from fusionfactory.gateway.routing.ask import Ask
    from fusionfactory.gateway.upstream.answer import Answer
    from fusionfactory.serve_settings import UpstreamSettings

__all__ = ["Upstreams"]

_BACKOFF_S = 0.5


class Upstreams:
    """Keeps connections to endpoints, runs local models, and asks arms in order.

    Belongs to one event loop from its first call on.

    Args:
        fleet: The arms.
        settings: Limits of time and attempts.
        workers: Processes that share the endpoints' limits; each keeps to its part of them.

    Raises:
        InputError: A key holds what no header can hold.
        ConfigError: There is no such model file.
        MissingExtraError: A model is in a GGUF file, and the extra `local` is not installed.
    """

    def __init__(self, fleet: Fleet, settings: UpstreamSettings, *, workers: int = 1) -> None:
        self._settings = settings
        self._pools: dict[tuple[str, str], Pool] = {}
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._lanes: dict[str, Lane] = {}
        for name, target in {**fleet.embedders, **fleet.targets}.items():
            pool = self._pool(target, workers)
            key = (pool.place.name, target.asks_for)
            breaker = self._breakers.setdefault(
                key, Breaker(settings.breaker_failures, settings.breaker_open_s)
            )
            self._lanes[name] = Lane(target, pool, breaker)

    async def open(
        self,
        body: dict[str, Any],
        arms: tuple[str, ...],
        prompts: Prompts | None,
        record: Record,
        /,
        *,
        ask: Ask,
        path: str = "chat/completions",
        deadline: float,
        pause_s: float | None = None,
    ) -> Answer:
        """The answer of the first of the arms that gives one.

        Args:
            body: The request as the client sent it; is not changed.
            arms: Names of arms, in the order in which they are tried; for embeddings, models.
            prompts: Applies an arm's strategy; None where there is none to apply.
            record: Gets the attempts, why arms were passed over, and a strategy that was decided
                late.
            ask: The request as the router saw it.
            path: `chat/completions`, `completions`, `embeddings`.
            deadline: Seconds from now for all of it, the whole answer included.
            pause_s: Longest pause between two rounds; None for the settings'.

        Raises:
            Refusal: None of them answers: what the last one that was asked said.
        """
        until = asyncio.get_running_loop().time() + deadline
        lanes = [self._lane(name) for name in dict.fromkeys(arms)]
        settings = self._settings
        if pause_s is not None:
            settings = settings.model_copy(update={"pause_s": pause_s})
        wording = Wording(body, path, prompts, ask, settings, until)
        try:
            return await Fallback(lanes, wording, settings, record).run()
        except Failure as failure:
            refusal = failure.refusal()
        raise refusal

    def healthy(self, target: Target) -> bool:
        """Whether an arm may be asked at once, for all that its latest calls say."""
        return self._lanes[target.name].breaker.wait_s == 0.0

    def states(self) -> dict[str, Any]:
        """How every model fares at its endpoint, by `endpoint/model`.

        Each has `breaker` (`closed`, `open`, `half_open`), `failures` in a row, `open_for_s` until
        it is probed (None while closed), `running` calls of the endpoint, and its `limit` now.
        """
        lanes = {_title(lane): lane for lane in self._lanes.values()}
        return {
            title: {
                "breaker": lane.breaker.state,
                "failures": lane.breaker.failures,
                "open_for_s": None if lane.breaker.state == "closed" else lane.breaker.wait_s,
                "running": lane.pool.limiter.in_flight,
                "limit": lane.pool.limiter.limit,
            }
            for title, lane in lanes.items()
        }

    async def close(self) -> None:
        """Closes the connections and ends local servers; calls under way fail."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name) or next(
            (lane for lane in self._lanes.values() if lane.target.model.name == name), None
        )
        if lane is None:
            msg = f"no arm {name!r}: known are {', '.join(self._lanes)}"
            raise Refusal(404, msg, code="model_not_found", param="model")
        return lane

    def _pool(self, target: Target, workers: int) -> Pool:
        connect_s = self._settings.connect_s
        endpoint = target.endpoint
        key = ("gguf", target.model.name) if endpoint is None else ("endpoint", endpoint.name)
        pool = self._pools.get(key)
        if pool is None:
            pool = (
                _local(target.model, connect_s)
                if endpoint is None
                else Pool.of(endpoint, connect_s=connect_s, workers=workers)
            )
            self._pools[key] = pool
        return pool


def _title(lane: Lane) -> str:
    return f"{lane.pool.place.name}/{lane.target.asks_for}"


def _local(model: ModelSettings, connect_s: float) -> Pool:
    """A model file, served by a process of its own, one call at a time."""
    assert model.gguf is not None  # noqa: S101  a model without an endpoint has a file
    server = LlamaServer(
        model.gguf,
        context_tokens=model.context_tokens,
        threads=model.threads,
        embeds=model.embeds,
    )
    return Pool(
        Place(model.gguf.name),
        "",
        Limiter(1),
        backoff_s=_BACKOFF_S,
        connect_s=connect_s,
        server=server,
    )
