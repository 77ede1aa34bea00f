"""Who may see every client's requests and change the router.

With keys on, the holder of an administrator's key. Without, whoever sits at this machine: a page of
another site must not get in through the visitor's own browser, neither by a name that it lets
point here (DNS rebinding) nor by a form that it sends here (cross-site request forgery).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fusionfactory.gateway.access.pages import hostname
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.serve_settings import LOOPBACK

if TYPE_CHECKING:
    from starlette.requests import Request

    from fusionfactory.gateway.gateway import Gateway

__all__ = ["CHANGE_HEADER", "check_admin", "check_change"]

CHANGE_HEADER = "x-fusionfactory-dashboard"
"""Sent with every change: no form can, and a script of another site may not."""

_FORBIDDEN, _NOT_FOUND = 403, 404
_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-real-ip")
_OWN_SITES = {None, "same-origin", "none"}


def check_admin(request: Request, gateway: Gateway) -> None:
    """Lets an administrator in.

    Raises:
        Refusal: 404 where the dashboard is off; 401 without a good key; 403 for a key that is no
            administrator's, or, without keys, for a request that does not come from this machine's
            own page.
    """
    if not gateway.settings.dashboard:
        msg = "the dashboard is switched off: `dashboard = true` in [serve] switches it on"
        raise Refusal(_NOT_FOUND, msg, code="not_found")
    client = gateway.access.authorise(request.headers)
    if gateway.settings.needs_keys:
        if not client.admin:
            msg = (
                f"the key {client.key!r} is no administrator's: the dashboard shows all clients' "
                "requests; make one with `fusionfactory keys add NAME --admin`"
            )
            raise Refusal(_FORBIDDEN, msg, code="not_admin")
        return
    _check_origin(request)
    _check_local(request)


def check_change(request: Request, gateway: Gateway) -> None:
    """As `check_admin`, for a request that changes something.

    Raises:
        Refusal: As `check_admin`; 403 without the header that the page sends.
    """
    check_admin(request, gateway)
    if CHANGE_HEADER not in request.headers:
        msg = (
            f"a change needs the header `{CHANGE_HEADER}: 1`, so that no other site can ask for it"
        )
        raise Refusal(_FORBIDDEN, msg, code="no_change_header")


def _check_origin(request: Request) -> None:
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    foreign = origin is not None and urlsplit(origin).netloc != host
    if foreign or request.headers.get("sec-fetch-site") not in _OWN_SITES:
        msg = f"the request comes from {origin or 'another site'}, and this is {host}"
        raise Refusal(_FORBIDDEN, msg, code="not_local")


def _check_local(request: Request) -> None:
    host = request.headers.get("host", "")
    if hostname(host) not in LOOPBACK:
        msg = (
            f"without client keys the dashboard is for this machine alone, under 127.0.0.1 or "
            f"localhost, and the request names the host {host!r}; switch keys on to reach it from "
            "elsewhere"
        )
        raise Refusal(_FORBIDDEN, msg, code="not_local")
    peer = request.client.host if request.client else ""
    passed_on = next((name for name in _PASSED_ON if name in request.headers), None)
    if passed_on is not None or not _is_loopback(peer):
        source = f"a proxy ({passed_on})" if passed_on else peer or "an unknown address"
        msg = (
            f"without client keys the dashboard is for this machine alone, and the request comes "
            f"from {source}; switch keys on to reach it from elsewhere"
        )
        raise Refusal(_FORBIDDEN, msg, code="not_local")


def _is_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
