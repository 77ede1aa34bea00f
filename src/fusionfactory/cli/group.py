"""Groups of commands that import a command's module only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """Lists its commands without their modules, so that `--help` stays quick.

    Args:
        modules: Module of a command, `{name}` in place of its name; holds `command`.
        verbs: Name of each command to the line that says what it does, in the order shown.
        attrs: As `click.Group` takes them.
    """

    def __init__(self, *, modules: str, verbs: Mapping[str, str], **attrs: Any) -> None:  # noqa: ANN401  click's own
        super().__init__(**attrs)
        self._modules, self._verbs = modules, verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order given."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command."""
        if cmd_name not in self._verbs:
            return None
        command = import_module(self._modules.format(name=cmd_name)).command
        assert isinstance(command, click.Command)  # noqa: S101  one per module
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes name and line of each command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._verbs.items()))
