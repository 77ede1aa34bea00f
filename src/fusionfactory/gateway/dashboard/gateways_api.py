"""The gateways that share a store, on the page: which ones there are, and which one answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from fusionfactory.gateway.operations.presence import all_seen
from fusionfactory.gateway.shared import identity, is_shared

if TYPE_CHECKING:
    from starlette.requests import Request

    from fusionfactory.gateway.build import Built
    from fusionfactory.gateway.dashboard.recent import Recent
    from fusionfactory.gateway.gateway import Gateway

__all__ = ["GatewaysApi"]


class GatewaysApi:
    """The endpoint, in one process.

    Args:
        recent: Runs queries, each no more often than once a second.
    """

    def __init__(self, recent: Recent) -> None:
        self._recent = recent

    async def gateways(self, _: Request, gateway: Gateway) -> dict[str, Any]:
        """Every gateway of the store, and the name of this one; none where nothing is shared."""
        if not is_shared(gateway.config):
            return {"here": None, "gateways": []}
        # What shares a store is a whole gateway, made by `build`.
        built = cast("Built", gateway)

        def make() -> dict[str, Any]:
            here = identity(built.settings.state)
            return {"here": here, "gateways": [asdict(seen) for seen in all_seen(built.store)]}

        return await self._recent.get("gateways", make)
