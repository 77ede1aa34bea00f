"""`GET /v1/decisions/{id}`: why an arm was chosen, for the client whose request it was."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import anyio

from fusionfactory.errors import StoreError
from fusionfactory.gateway.refusal import Refusal, store_unavailable

if TYPE_CHECKING:
    from starlette.requests import Request

    from fusionfactory.gateway.dashboard.recent import Recent
    from fusionfactory.gateway.gateway import Gateway

__all__ = ["find_decision", "own_decision"]

_NOT_FOUND = 404
_ANSWER_S = 10.0
_WAIT_S = 2.0
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.63)
_STAMP_DIGITS = 12
_SKEW_S = 5.0

_log = logging.getLogger(__name__)


async def own_decision(request: Request, gateway: Gateway, recent: Recent) -> dict[str, Any]:
    """The decision of a request that the client's key sent; an administrator sees all.

    Raises:
        Refusal: 401 without a good key; 404: there is none of that id, or it is another key's;
            503: the store cannot be read.
    """
    client = gateway.access.authorise(request.headers)
    try:
        found = await find_decision(request.path_params["id"], gateway, recent)
    except StoreError as error:
        _log.error("a decision could not be read: %s", error)
        raise store_unavailable() from None
    # Another key's is not told from one that never was: an id is no secret worth confirming.
    if found is None or not (client.admin or found.get("key") == client.key):
        raise _unknown(request.path_params["id"])
    return found


async def find_decision(id_: str, gateway: Gateway, recent: Recent) -> dict[str, Any] | None:
    """What is kept of a request; waits for one that is too young to be in the store yet.

    Args:
        id_: Of the request.
        gateway: Where it was made.
        recent: Runs queries.

    Returns:
        Every field of its `Record` and `feedback`; None where nothing is kept.

    Raises:
        StoreError: The store cannot be read.
    """
    for pause_s in (*_PAUSES_S, None):
        found = await recent.fresh(lambda: gateway.traffic.decision(id_), _ANSWER_S)
        if found is not None or pause_s is None or not _is_young(id_):
            return found
        await anyio.sleep(pause_s)
    return None


def _is_young(id_: str) -> bool:
    """Whether the id was made a moment ago, by the milliseconds that it begins with."""
    stamp = id_.rpartition("_")[2][:_STAMP_DIGITS]
    try:
        made_s = int(stamp, 16) / 1000
    except ValueError:
        return False
    return -_SKEW_S <= time.time() - made_s <= _WAIT_S + _SKEW_S


def _unknown(id_: str) -> Refusal:
    msg = (
        f"there is no decision {id_[:80]!r} of this key; the id is in the header "
        "`x-fusionfactory-decision` of the answer"
    )
    return Refusal(_NOT_FOUND, msg, code="decision_not_found", param="id")
