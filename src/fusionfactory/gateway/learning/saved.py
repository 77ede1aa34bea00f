"""A router that was saved elsewhere, for a gateway to take in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError
from fusionfactory.routers import load_router

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from fusionfactory.routers import Router

__all__ = ["saved_router"]


def saved_router(path: Path, arms: Collection[str] | None, *, network: bool) -> Router:
    """The router of a folder, of which a gateway has an arm at least.

    Args:
        path: The folder.
        arms: Names of the gateway's arms, and of its plans; None where these are not known.
        network: Whether its encoder may send texts to the endpoint that it names.

    Raises:
        RouterFileError: Its files are missing or damaged.
        ConfigError: It knows none of the arms.
    """
    router = load_router(path, network=network)
    known = [arm.name for arm in router.arms_]
    if arms is not None and not any(arm in arms for arm in known):
        msg = (
            f"the router knows none of the arms of the settings: it knows {', '.join(known)}; they "
            f"have {', '.join(arms)}"
        )
        raise ConfigError(msg, file=path, field="models")
    return router
