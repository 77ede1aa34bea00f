"""What batch verbs tell beyond their own lines: messages of the cluster's side, where asked for."""

from __future__ import annotations

import logging

from fusionfactory.errors import ConfigError

__all__ = ["LOG", "show_log"]

LOG = "FUSIONFACTORY_LOG"
"""The environment variable that asks for it: a level, such as `debug`."""

_SHOWN = "fusionfactory.scale"
"""Not the gateway, which keeps its log itself and leaves texts out of it."""


def show_log(level: str | None) -> None:
    """Shows messages from a level upwards on standard error; nothing without a level.

    Raises:
        ConfigError: There is no such level.
    """
    if not level:
        return
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        msg = f"{level!r} is no level: set debug, info, warning or error"
        raise ConfigError(msg, field=LOG)
    logger = logging.getLogger(_SHOWN)
    logger.setLevel(number)
    logger.handlers[:] = [logging.StreamHandler()]
