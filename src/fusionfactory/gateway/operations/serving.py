"""From `fusionfactory serve` to processes that answer."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError, StoreAwayError
from fusionfactory.gateway.access.keys import KeyFile
from fusionfactory.gateway.access.shared_keys import shared_keys
from fusionfactory.gateway.build import journal_folder, known_store
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.learning.saved import saved_router
from fusionfactory.gateway.learning.shared_book import shared_book
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.gateway.operations.listener import bind, url_of
from fusionfactory.gateway.operations.logs import emit, log_to
from fusionfactory.gateway.operations.supervisor import Supervisor
from fusionfactory.gateway.planning.plans import Plans

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fusionfactory.gateway.operations.source import Source
    from fusionfactory.serve_settings import ServeSection

__all__ = ["Started", "serve"]

_FIRST_TRIES = 3
_TRY_AGAIN_S = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """What runs.

    Attributes:
        url: Base URL of the API.
        arms: Names of those that can answer, plans among them.
        router: Version that decides; None where none does.
        needs_keys: Whether clients need a key.
        passed_over: Whether there was a router already, so that the given one was not registered.
    """

    url: str
    arms: tuple[str, ...]
    router: str | None
    needs_keys: bool
    passed_over: bool


def serve(
    source: Source,
    router: Path | None,
    started: Callable[[Started], None],
    *,
    network: bool = False,
) -> None:
    """Serves until a signal ends it.

    Args:
        source: Of the settings.
        router: A saved router that becomes the first version where there is none.
        started: Told once requests are answered.
        network: Whether that router's encoder may send texts to the endpoint that it names.

    Raises:
        ConfigError: The settings are wrong, or the host is not loopback and there is no key.
        RouterFileError: The router or a plan cannot be used.
        StoreError: The store cannot be used. One that is only away is, but at the first start.
        GatewayError: A process cannot start.
    """
    config = source.read()
    settings = config.serve
    log_to(emit, settings.log_level, prompts=settings.log_prompts)
    fleet = Fleet(config)
    plans = Plans.load(config, fleet)
    plans.close()
    with known_store(config) as store:
        versions = Versions(settings.state, shared_book(config, store))
        keys = KeyFile(settings.state, shared_keys(config, store))
        _follow(versions, keys, first=not journal_folder(settings).is_dir())
        _check_keys(settings, keys)
        passed_over = router is not None and versions.current is not None
        if router is not None and not passed_over:
            passed_over = not _register(versions, router, fleet, network=network)
    with bind(settings.host, settings.port) as bound:

        def tell() -> None:
            current, arms = versions.current, (*fleet.targets, *(plan.name for plan in plans))
            url = url_of(bound)
            started(Started(url, arms, current, settings.needs_keys, passed_over))

        asyncio.run(Supervisor(source, config, bound, tell).run())


def _check_keys(settings: ServeSection, keys: KeyFile) -> None:
    """Lets nobody listen to the world whom nobody could ask, or everybody."""
    if not settings.needs_keys:
        return
    now = time.time()
    if not any(
        key.revoked is None and (key.expires is None or key.expires.timestamp() > now)
        for key in keys.read()
    ):
        msg = (
            f"clients need a key at {settings.host!r}, and there is none: make one by "
            '`fusionfactory keys add NAME`, or write keys = "off" under [serve] to let anyone in '
            "who reaches this address"
        )
        raise ConfigError(msg, field="serve.keys")


def _follow(versions: Versions, keys: KeyFile, *, first: bool) -> None:
    """Begins with what the store says, or with what it said last where it is away.

    Args:
        versions: Of the router.
        keys: Of clients.
        first: Nothing was said yet, so it is worth a few tries.
    """
    for left in reversed(range(_FIRST_TRIES if first else 1)):
        try:
            versions.follow()
            keys.follow()
        except StoreAwayError as error:
            if not left:
                _log.error("starting with the routers and keys that were known last: %s", error)
            else:
                time.sleep(_TRY_AGAIN_S)
        else:
            return


def _register(versions: Versions, path: Path, fleet: Fleet, *, network: bool) -> bool:
    """Makes it the first version; False where another gateway was faster."""
    router = saved_router(path, fleet.targets, network=network)
    return versions.begin(router, {"from": str(path)})
