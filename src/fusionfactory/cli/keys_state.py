"""Where the keys are that a verb is about: in a gateway's state, or in the store that it shares."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from fusionfactory.config import Config
    from fusionfactory.gateway.access.keys import KeyFile
    from fusionfactory.store import Store

    Command = TypeVar("Command", bound=Callable[..., Any])

__all__ = ["keys_of", "state_options"]


def _state(ctx: click.Context, _: click.Parameter, value: Path | None) -> Path:
    found: Path = ctx.obj.serve.state if value is None else value
    return found


def state_options(command: Command) -> Command:
    """Adds `--state` and `--store`."""
    state = click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_state,
        help="Folder of the gateway's state [`state` under [serve]].",
    )
    store = click.option(
        "--store", help="Store of the gateways; those of PostgreSQL share their keys [`store`]."
    )
    return state(store(command))


@contextmanager
def keys_of(
    config: Config, state: Path, store: str | None
) -> Iterator[tuple[KeyFile, Store | None]]:
    """The keys of a gateway, with the store where they are those of all its gateways.

    Args:
        config: The settings.
        state: The gateway's state.
        store: Path or URL of the store; None for that of the settings.

    Raises:
        ConfigError: The settings want what the store cannot do.
        StoreError: The store cannot be reached.
    """
    from fusionfactory.gateway.access.keys import KeyFile
    from fusionfactory.gateway.access.shared_keys import shared_keys
    from fusionfactory.gateway.shared import is_shared
    from fusionfactory.store import Store

    settings = config.model_copy(update={"store": store or config.store})
    if settings.store is None or not is_shared(settings):
        yield KeyFile(state), None
        return
    with Store(settings.store) as opened:
        yield KeyFile(state, shared_keys(settings, opened)), opened
