"""`fusionfactory init`: writes a commented settings file."""

from __future__ import annotations

from pathlib import Path

import click

from fusionfactory.atomic import write_atomically
from fusionfactory.cli.output import json_option, write_json
from fusionfactory.config import CONFIG_NAME
from fusionfactory.errors import ConfigError
from fusionfactory.settings_template import TEMPLATE

__all__ = ["command"]


@click.command("init", epilog="Example: fusionfactory init")
@click.argument("path", type=click.Path(path_type=Path), default=Path(CONFIG_NAME))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
def command(path: Path, force: bool, json_path: str | None) -> None:
    """Writes settings with every default and what it means."""
    if path.exists() and not force:
        msg = "exists already: --force replaces it"
        raise ConfigError(msg, file=path)
    write_atomically(path, lambda target: target.write_text(TEMPLATE, encoding="utf-8"))
    if json_path:
        write_json({"written": str(path)}, json_path)
    if json_path != "-":
        click.echo(f"wrote {path}")
