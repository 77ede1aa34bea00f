"""The order in which arms answer where no router says one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError
from fusionfactory.pricing import NOMINAL_OUTPUT_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.gateway.fleet import Fleet, Target

__all__ = ["default_order"]

_INPUT_TOKENS = 1000


def default_order(fleet: Fleet, names: Iterable[str], first: str | None) -> tuple[str, ...]:
    """Arms by the price of a usual call, unpriced ones last, plain prompts before others.

    Args:
        fleet: Has the arms.
        names: Of the arms.
        first: The one that comes first all the same.

    Raises:
        ConfigError: That one is none of the names.
    """
    order = sorted(names, key=lambda name: (name != first, *_price(fleet[name]), name))
    if first is not None and first not in order:
        msg = f"{first!r} is no arm that answers chats; there are {', '.join(order) or 'none'}"
        raise ConfigError(msg, field="serve.routing.default_arm")
    return tuple(order)


def _price(target: Target) -> tuple[float, bool]:
    usd = target.price.usd(_INPUT_TOKENS, int(NOMINAL_OUTPUT_TOKENS))
    return math.inf if usd is None else usd, target.arm.strategy != "direct"
