"""A route as an ASGI application of its own: no middleware, and no refusal leaves it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fusionfactory.errors import StoreError
from fusionfactory.gateway.access.pages import check_page
from fusionfactory.gateway.refusal import Refusal, store_unavailable
from fusionfactory.gateway.surface.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

__all__ = ["Endpoint"]

_log = logging.getLogger(__name__)


class Endpoint:
    """Answers by a function.

    Args:
        handle: Answers an exchange, or raises a `Refusal`.
    """

    def __init__(self, handle: Callable[[Exchange], Awaitable[None]]) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, as ASGI has it."""
        gateway = scope["app"].state.gateway
        exchange = Exchange(gateway, scope, receive, send)
        gateway.active += 1
        try:
            check_page(exchange.headers, gateway.settings)
            await self._handle(exchange)
        except Refusal as refusal:
            await exchange.refuse(refusal)
        except StoreError as error:
            _log.error("request %s failed: %s", exchange.id, error)
            await exchange.refuse(store_unavailable())
        except Exception:  # noqa: BLE001  the gateway's edge: a client gets an answer whatever fails
            _log.exception("request %s failed", exchange.id)
            msg = f"the gateway failed; its log says more under {exchange.id}"
            await exchange.refuse(Refusal(500, msg, code="internal_error"))
        finally:
            gateway.active -= 1
