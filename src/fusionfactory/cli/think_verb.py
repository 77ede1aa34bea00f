"""`fusionfactory think`: thought templates, from past answers to the prompts that they help."""

from __future__ import annotations

import click

from fusionfactory.cli.group import LazyGroup

__all__ = ["command"]

_VERBS = {
    "build": "Write templates from the best answers of a store or table.",
    "index": "Embed the questions of a bank's templates, to find similar ones.",
    "apply": "Print the messages that a model would get with templates.",
    "evaluate": "Compare templates with their controls, and fit the gate.",
}


@click.group(
    "think",
    cls=LazyGroup,
    modules="fusionfactory.cli.think_{name}",
    verbs=_VERBS,
    epilog="Example: fusionfactory think build --store runs.db --bank thoughts",
)
def command() -> None:
    """Turns the best past answers into thought templates, and puts them where they help.

    A bank is a folder: build writes its templates, index makes them findable, apply and the
    strategies thought:K of collect use them, evaluate says where they help.
    """
