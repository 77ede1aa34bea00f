"""`fusionfactory think`: thought templates, from past answers to the prompts that they help."""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["command"]

_VERBS = {
    "build": "Write templates from the best answers of a store or table.",
    "index": "Embed the questions of a bank's templates, to find similar ones.",
    "apply": "Print the messages that a model would get with templates.",
    "evaluate": "Compare templates with their controls, and fit the gate.",
}


class _Verbs(click.Group):
    """Imports a sub-verb's module only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        command = import_module(f"fusionfactory.cli.think_{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101  one per module
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(
    "think",
    cls=_Verbs,
    epilog="Example: fusionfactory think build --store runs.db --bank thoughts",
)
def command() -> None:
    """Turns the best past answers into thought templates, and puts them where they help.

    A bank is a folder: build writes its templates, index makes them findable, apply and the
    strategies thought:K of collect use them, evaluate says where they help.
    """
