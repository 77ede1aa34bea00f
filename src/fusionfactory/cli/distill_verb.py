"""`fusionfactory distill`: one model trained on the best answers of all."""

from __future__ import annotations

import click

from fusionfactory.cli.group import LazyGroup

__all__ = ["command"]

_VERBS = {
    "select": "Choose what to train on from the answers of a store or table.",
    "export": "Write a selection in the format of a trainer.",
    "train": "Fine-tune a model on a selection.",
    "register": "Make a student one more model: settings, server, router.",
    "evaluate": "Compare students with the model before, and say what they lost.",
}


@click.group(
    "distill",
    cls=LazyGroup,
    modules="fusionfactory.cli.distill_{name}",
    verbs=_VERBS,
    epilog="Example: fusionfactory distill select --store runs.db --out selection",
)
def command() -> None:
    """Trains one model on the best answers of all, and makes it one more arm.

    select chooses answers to train questions, train makes a student of them (export hands them to
    another trainer), register makes it a model that collect can ask, evaluate says what came of it.
    """
