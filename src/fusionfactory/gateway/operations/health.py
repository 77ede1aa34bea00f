"""`/health`, `/ready` and `/metrics`: what whoever runs the gateway asks it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response
from starlette.routing import Route

from fusionfactory.gateway.operations.metrics import CONTENT_TYPE
from fusionfactory.gateway.operations.store_watch import LATE_S, store_seen
from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from fusionfactory.gateway.build import Built

__all__ = ["Health", "routes"]


@dataclass
class Health:
    """Whether this worker wants requests.

    Attributes:
        started: Whether it does its work.
        draining: Whether it is about to end.
    """

    started: bool = False
    draining: bool = False

    def check(self, gateway: Built) -> dict[str, Any]:
        """What a worker that wants requests says of itself.

        A gateway whose store is away goes on and says so under `trouble`: another one would not
        answer better, and what it answers is in the journal.

        Raises:
            Refusal: 503: it is starting or draining, or could not log what it answers.
        """
        if self.draining or not self.started:
            state = "draining" if self.draining else "starting"
            raise Refusal(503, f"the worker is {state}: ask another one", code=state)
        gateway.journal.check()
        facts = {
            "status": "ready",
            "router": gateway.decider.version,
            "arms": len(gateway.fleet.targets),
        }
        trouble = _trouble(gateway)
        return facts | {"trouble": trouble} if trouble else facts


def routes(health: Health, render: Callable[[], bytes]) -> list[BaseRoute]:
    """The routes.

    Args:
        health: Of this worker.
        render: The figures of all workers for Prometheus.
    """

    async def alive(_request: Request) -> Response:
        return _json({"status": "alive"})

    async def ready(request: Request) -> Response:
        try:
            return _json(health.check(request.app.state.gateway))
        except Refusal as refusal:
            return _refused(refusal)

    async def metrics(request: Request) -> Response:
        try:
            client = request.app.state.gateway.access.authorise(request.headers)
            if not client.admin:
                msg = "figures of all keys need an admin key: fusionfactory keys add NAME --admin"
                raise Refusal(403, msg, code="admin_key_needed")
        except Refusal as refusal:
            return _refused(refusal)
        # Merging the workers' files takes milliseconds, which requests need not wait for.
        return Response(await asyncio.to_thread(render), media_type=CONTENT_TYPE)

    return [Route("/health", alive), Route("/ready", ready), Route("/metrics", metrics)]


def _trouble(gateway: Built) -> list[str]:
    """What does not keep it from answering."""
    found = []
    if gateway.journal.failing:
        found.append(f"requests are answered without being logged: {gateway.journal.failing}")
    seen = store_seen(gateway.settings.state)
    if seen is not None and (away_s := time.time() - seen) > LATE_S:
        found.append(
            f"the store was not reached for {away_s:.0f} s: requests are answered and logged, and "
            "taken in once it is back; until then keys, limits and routers are those known last"
        )
    return found


def _json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")


def _refused(refusal: Refusal) -> Response:
    return _json(refusal.body(), refusal.status, dict(refusal.headers))
