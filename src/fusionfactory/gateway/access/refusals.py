"""What clients are told that may not ask, or not now."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fusionfactory.gateway.access.meter import MINUTE_S
from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.access.meter import Used

__all__ = ["held", "no_key", "no_longer_good", "out_of_budget", "too_fast", "unknown_key", "unsure"]

_NOT_AUTHORISED, _TOO_MANY, _NOT_NOW = 401, 429, 503
_CHALLENGE = {"www-authenticate": "Bearer"}
_DECEMBER = 12


def _unauthorised(message: str) -> Refusal:
    return Refusal(_NOT_AUTHORISED, message, code="invalid_api_key", headers=_CHALLENGE)


def no_key(*, empty: bool) -> Refusal:
    """401 for a request without a key.

    Args:
        empty: Whether the gateway has no key yet.
    """
    how = "make one with `fusionfactory keys add NAME`" if empty else "ask whoever runs it for one"
    return _unauthorised(
        "the gateway wants a key in the header `authorization: Bearer ff-...`, and the request has "
        f"none; {how}"
    )


def unknown_key() -> Refusal:
    """401 for a key that is none of the gateway's."""
    return _unauthorised(
        "the key is none of this gateway's: check that it is whole, or get another"
    )


def no_longer_good(client: Client) -> Refusal:
    """401 for a key that is expired or revoked."""
    if math.isinf(client.ends):
        return _unauthorised(f"the key {client.key!r} was revoked; ask for another")
    ended = datetime.fromtimestamp(client.ends, UTC)
    return _unauthorised(
        f"the key {client.key!r} expired at {ended:%Y-%m-%d %H:%M} UTC; ask for another"
    )


def out_of_budget(client: Client, period: str, now: float) -> Refusal:
    """429 for a key whose budget is spent, with the seconds until the next day or month.

    Args:
        client: Whose budget.
        period: `day` or `month`.
        now: Unix seconds.
    """
    at = datetime.fromtimestamp(now, UTC)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        limit, until = client.usd_per_day, midnight + timedelta(days=1)
    else:
        years, month = divmod(at.month, _DECEMBER)
        limit = client.usd_per_month
        until = midnight.replace(year=at.year + years, month=month + 1, day=1)
    return Refusal(
        _TOO_MANY,
        f"the key {client.key!r} has spent its {limit:g} USD per {period}; the next {period} "
        f"begins at {until:%Y-%m-%d %H:%M} UTC",
        code="insufficient_quota",
        headers={
            "retry-after": str(math.ceil((until - at).total_seconds())),
            "x-should-retry": "false",
        },
    )


def held(client: Client, period: str) -> Refusal:
    """429 for a key whose requests under way are to cost what is left of its budget.

    Args:
        client: Whose budget.
        period: `day` or `month`.
    """
    limit = client.usd_per_day if period == "day" else client.usd_per_month
    return Refusal(
        _TOO_MANY,
        f"what is left of the {limit:g} USD per {period} of the key {client.key!r} may be needed "
        "for its requests that are under way, or by a gateway that is not heard of: try again once "
        "they are answered",
        code="budget_held",
        headers={"retry-after": "1"},
    )


def unsure(client: Client, period: str) -> Refusal:
    """503 for a key of which this gateway has used up its part of a budget that it shares.

    Args:
        client: Whose budget.
        period: `day` or `month`.
    """
    return Refusal(
        _NOT_NOW,
        f"this gateway has used up its part of the budget per {period} of the key {client.key!r}, "
        "and cannot learn at present whether another one has some left: try again, or there",
        code="budget_unknown",
        headers={"retry-after": "1"},
    )


def too_fast(client: Client, kind: str, limit: int, wanted: int, used: Used) -> Refusal:
    """429 for too many requests or tokens in a minute.

    Args:
        client: Whose limit.
        kind: `requests` or `tokens`.
        limit: Per minute.
        wanted: By this request.
        used: In the last minute.
    """
    headers = {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(max(0, int(limit - used.total))),
        f"x-ratelimit-reset-{kind}": f"{math.ceil(used.reset_s)}s",
    }
    if wanted > limit:
        text = f"the request has about {wanted} {kind}; the key {client.key!r} has {limit} a minute"
        headers["x-should-retry"] = "false"
    else:
        wait_s = min(2 * MINUTE_S, max(0.0, used.wait_s(limit - wanted)))
        headers["retry-after"] = str(math.ceil(wait_s))
        headers["retry-after-ms"] = str(math.ceil(1000 * wait_s))
        text = (
            f"the key {client.key!r} has {limit} {kind} a minute and used {used.total:.0f}; try "
            f"again in {wait_s:.1f} s"
        )
    return Refusal(_TOO_MANY, text, code="rate_limit_exceeded", headers=headers)
