"""Where the gateway whose keys are kept has its state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Command = TypeVar("Command", bound=Callable[..., Any])

__all__ = ["state_option"]


def _state(ctx: click.Context, _: click.Parameter, value: Path | None) -> Path:
    found: Path = ctx.obj.serve.state if value is None else value
    return found


def state_option(command: Command) -> Command:
    """Adds `--state`: the folder, else the one of the settings."""
    return click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_state,
        help="Folder of the gateway's state [`state` under [serve]].",
    )(command)
