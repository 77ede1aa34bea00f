"""Keeping pages of other sites out of a gateway that wants no key.

Whoever sits at the machine may visit any site, and a page can make their browser send requests
here: as a plain form (cross-site request forgery), or under a name of its own that it lets point
here (DNS rebinding). Both would spend money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fusionfactory.gateway.refusal import Refusal
from fusionfactory.serve_settings import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.serve_settings import ServeSection

__all__ = ["check_page", "hostname"]

_FORBIDDEN = 403


def check_page(headers: Mapping[str, str], settings: ServeSection) -> None:
    """Refuses what another site's page asks for, where no key tells who asks.

    Programs send neither `origin` nor `sec-fetch-site`; pages of this machine's own servers, on
    whatever port, may ask.

    Args:
        headers: Of the request, names in lower case.
        settings: Whether keys are on, and where the gateway listens.

    Raises:
        Refusal: 403, with what to do.
    """
    if settings.needs_keys:
        return
    host = headers.get("host", "")
    if settings.host in LOOPBACK and hostname(host) not in LOOPBACK:
        msg = (
            f"without client keys the gateway answers under 127.0.0.1 or localhost alone, and the "
            f"request names the host {host[:100]!r}; switch keys on to use another name"
        )
        raise Refusal(_FORBIDDEN, msg, code="not_local")
    origin = headers.get("origin")
    if (origin is not None and not _is_own(origin, host)) or headers.get(
        "sec-fetch-site"
    ) == "cross-site":
        msg = (
            f"without client keys no page of another site is answered, and this one is of "
            f"{(origin or 'another site')[:100]!r}; switch keys on to let it ask"
        )
        raise Refusal(_FORBIDDEN, msg, code="not_local")


def hostname(host: str) -> str | None:
    """The name in a `host` header, without the port; None where there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_own(origin: str, host: str) -> bool:
    try:
        site = urlsplit(origin)
    except ValueError:
        return False
    return site.netloc == host or site.hostname in LOOPBACK
