"""Whether a key's budgets leave room for one more request."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from fusionfactory.gateway.access.elsewhere import PERIODS
from fusionfactory.gateway.access.meter import periods

if TYPE_CHECKING:
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.access.elsewhere import Elsewhere
    from fusionfactory.gateway.access.meter import Spending

__all__ = ["Room", "rooms"]


class Room(Enum):
    """What a budget leaves."""

    SOME = "some"
    SPENT = "spent"
    HELD = "held"
    """What is not spent may be: by requests under way, or by a gateway that is not heard of."""
    NOT_HERE = "not here"
    """This gateway has used up what it was granted; there was more when it last heard."""


def rooms(client: Client, now: float) -> dict[str, Room]:
    """What each of a client's budgets leaves, by `day` and `month`; none where it has none.

    Args:
        client: Who asks.
        now: Unix seconds.
    """
    meter, budgets = client.meter, (client.usd_per_day, client.usd_per_month)
    if meter is None or budgets == (None, None):
        return {}
    return {
        period: _room(period, at, budget, spending, meter.elsewhere)
        for period, at, budget, spending in zip(
            PERIODS, periods(now), budgets, meter.spending(now), strict=True
        )
        if budget is not None
    }


def _room(
    period: str, at: float, budget: float, spending: Spending, elsewhere: Elsewhere | None
) -> Room:
    if spending.usd >= budget:
        return Room.SPENT
    if elsewhere is None:
        return Room.SOME if spending.usd + spending.held_usd < budget else Room.HELD
    grant = elsewhere.grant(period)
    if grant.at != at:
        return Room.NOT_HERE
    if grant.has_room(spending):
        return Room.SOME
    return Room.NOT_HERE if grant.free_usd > 0 else Room.HELD
