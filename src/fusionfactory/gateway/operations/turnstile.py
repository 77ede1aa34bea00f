"""Lets as many requests in as a worker can serve at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Turnstile"]

_OPEN = frozenset({"/health", "/ready", "/metrics"})
"""Whoever runs the gateway asks these, and most urgently where it is busy."""


class Turnstile:
    """Counts the requests under way; further ones get 503, in OpenAI's form.

    Args:
        app: What answers.
        limit: Requests at a time.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, as ASGI has it."""
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        if self.under_way >= self._limit:
            await self._refuse(send)
            return
        self.under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.under_way -= 1

    async def _refuse(self, send: Send) -> None:
        msg = (
            f"this worker has {self.under_way} requests under way, as many as it may: try again, "
            "or raise max_concurrency under [serve]"
        )
        body = orjson.dumps(Refusal(503, msg, code="overloaded").body())
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"retry-after", b"1"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})
