"""`fusionfactory keys`: who may use the gateway, how often and for how much."""

from __future__ import annotations

import click

from fusionfactory.cli.group import LazyGroup

__all__ = ["command"]

_VERBS = {
    "add": "Make a key for a client; it is shown once.",
    "list": "Show the keys, with what they have spent.",
    "revoke": "Take a key back.",
}


@click.group(
    "keys",
    cls=LazyGroup,
    modules="fusionfactory.cli.keys_{name}",
    verbs=_VERBS,
    epilog="Example: fusionfactory keys add alice --usd-per-month 20",
)
def command() -> None:
    """Keeps the keys of the gateway's clients.

    A gateway that listens beyond this machine wants one from every client. What is changed here
    counts within a second, without a restart.
    """
