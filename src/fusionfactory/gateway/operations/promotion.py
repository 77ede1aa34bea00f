"""The routers that were promoted or put to watch, loaded where requests do not wait for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fusionfactory.errors import EncoderError

if TYPE_CHECKING:
    from fusionfactory.gateway.learning.versions import Versions
    from fusionfactory.gateway.routing.decider import Routing
    from fusionfactory.routers import Router

__all__ = ["Changes", "changes"]

_ANY = "Is this router awake?"
"""Asked once, since the first estimate of a router costs more than the others."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Changes:
    """What is to change in a decider.

    Attributes:
        version: Of the router that decides from now on; None where that stays.
        router: That router.
        shadows: Version to the router that watches from now on, or to None where one stops.
    """

    version: str | None = None
    router: Router | None = None
    shadows: dict[str, Router | None] = field(default_factory=dict)

    def apply(self, decider: Routing) -> bool:
        """Changes it; in the thread of its event loop, unless it decides nothing yet.

        Returns:
            Whether anything changed.

        Raises:
            ConfigError: A router knows no arm of the settings.
        """
        for version, router in self.shadows.items():
            decider.shadow(version, router)
        if self.version is not None:
            decider.use(self.version, self.router)
        return self.version is not None or bool(self.shadows)


def changes(versions: Versions, decider: Routing) -> Changes:
    """What the versions in the state folder ask of a decider; loads the routers that it lacks.

    Raises:
        RouterFileError: A version is damaged.
        EncoderError: The encoder of one does not work. Where no router decides yet, none could do
            better: it is only logged, and the default arm answers until the encoder works.
    """
    starting = decider.version is None
    current, wanted = versions.current, versions.shadows
    shadows: dict[str, Router | None] = {
        version: None for version in decider.shadows if version not in wanted
    }
    shadows |= {
        version: _load(versions, version, starting=starting)
        for version in wanted
        if version not in decider.shadows
    }
    if current is None or current == decider.version:
        return Changes(shadows=shadows)
    return Changes(current, _load(versions, current, starting=starting), shadows)


def _load(versions: Versions, version: str, *, starting: bool) -> Router:
    router = versions.load(version, network=True)
    try:
        router.estimate([_ANY])
    except EncoderError as error:
        if not starting:
            raise
        _log.error("router %s cannot decide at present: %s", version, error)
    return router
