"""`fusionfactory keys revoke`: takes a key back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fusionfactory.cli.keys_state import keys_of, state_options
from fusionfactory.cli.output import json_option, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.config import Config

__all__ = ["command"]


@click.command("revoke", epilog="Example: fusionfactory keys revoke alice")
@click.argument("name")
@state_options
@json_option
@click.pass_obj
def command(
    config: Config, name: str, state: Path, store: str | None, json_path: str | None
) -> None:
    """Takes a key back: running gateways refuse it within a second.

    Its name stays taken, so that the log stays true.
    """
    with keys_of(config, state, store) as (keys, _):
        key = keys.revoke(name)
    if json_path:
        write_json(key.model_dump(mode="json", include={"name", "revoked"}), json_path)
    if json_path != "-":
        click.echo(f"revoked {name}")
