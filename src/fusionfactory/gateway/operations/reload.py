"""New settings and new routers in a worker that goes on answering."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from fusionfactory.errors import FusionFactoryError
from fusionfactory.gateway.build import build, close
from fusionfactory.gateway.operations.promotion import changes

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from fusionfactory.gateway.build import Built
    from fusionfactory.gateway.operations.source import Source

__all__ = ["Reloading"]

_LOOK_S = 0.25
"""How often a worker looks whether another router was promoted."""
_AGAIN_S = 10.0
"""After how long it tries once more to load one that it could not."""

_log = logging.getLogger(__name__)


class Reloading:
    """Swaps the gateway of an application, or the router in it.

    A request keeps the gateway it began with; the parts that the next one does not share are closed
    when its last request has ended.

    Args:
        source: Of the settings.
        app: Holds the gateway as `state.gateway`.
    """

    def __init__(self, source: Source, app: Starlette) -> None:
        self._source, self._app = source, app
        self._one_at_a_time = asyncio.Lock()
        self._retiring: dict[Built, asyncio.Task[None]] = {}

    @property
    def gateway(self) -> Built:
        """The present one."""
        gateway: Built = self._app.state.gateway
        return gateway

    async def reload(self) -> None:
        """Reads the settings and puts them in force; wrong ones change nothing."""
        async with self._one_at_a_time:
            old = self.gateway
            try:
                postponed = self._source.postponed()
                new = await asyncio.to_thread(self._build, old)
            except FusionFactoryError as error:
                _log.error("the settings are wrong, so the old ones stay: %s", error)
                return
            self._app.state.gateway = new
            facts = {"from_the_next_start": postponed} if postponed else {}
            _log.info("the new settings are in force", extra={"facts": facts})
        self._retiring[old] = asyncio.create_task(self._retire(old))

    async def follow(self) -> None:
        """Puts every promoted router and every shadow in force, for ever."""
        seen, again = None, math.inf
        clock = asyncio.get_running_loop().time
        while True:
            gateway = self.gateway
            now = (gateway, gateway.versions.stamp())
            if now != seen or clock() >= again:
                again = math.inf if await self._promote(gateway) else clock() + _AGAIN_S
                seen = now
            await asyncio.sleep(_LOOK_S)

    async def _promote(self, gateway: Built) -> bool:
        try:
            found = await asyncio.to_thread(changes, gateway.versions, gateway.decider)
            if self.gateway is gateway and found.apply(gateway.decider):
                facts = {"router": gateway.decider.version, "shadows": gateway.decider.shadows}
                _log.info("other routers are in force", extra={"facts": facts})
        except FusionFactoryError as error:
            _log.error("the routers stay as they were, and are tried again: %s", error)
            return False
        except Exception:  # noqa: BLE001  the worker has to hear of the next one
            _log.exception("the routers stay as they were, and are tried again")
            return False
        return True

    def _build(self, old: Built) -> Built:
        return build(self._source.read(), old.worker, before=old)

    async def _retire(self, old: Built) -> None:
        while old.active:
            await asyncio.sleep(_LOOK_S)
        del self._retiring[old]
        await close(old, [self.gateway, *self._retiring])
