"""Connections to one endpoint, kept open between calls, with its limits."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import aiohttp

from fusionfactory.clients.limits import Limiter
from fusionfactory.endpoints import proxy_for, read_key
from fusionfactory.gateway.upstream.failure import Failure, Place

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import SimpleNamespace

    from fusionfactory.config import EndpointSettings
    from fusionfactory.gateway.upstream.local import LlamaServer

__all__ = ["Pool"]

_KEEPALIVE_S = 60.0
_STALE = 2
"""Connections in a row that may turn out to have been closed meanwhile."""


class Pool:
    """Sends requests to an endpoint. Belongs to one event loop from its first request on.

    Args:
        place: Who is asked, with the key.
        base_url: What stands before `/chat/completions`; empty where `server` says it.
        limiter: How many calls at a time, and per minute.
        backoff_s: Longest wait before the first further attempt.
        connect_s: Seconds to connect.
        counts_tokens: Whether the limiter counts tokens.
        server: Serves a model file at a URL of its own.
    """

    def __init__(
        self,
        place: Place,
        base_url: str,
        limiter: Limiter,
        *,
        backoff_s: float,
        connect_s: float,
        counts_tokens: bool = False,
        server: LlamaServer | None = None,
    ) -> None:
        self.place, self.limiter, self.backoff_s = place, limiter, backoff_s
        self.connect_s = connect_s
        self.server = server
        self.counts_tokens = counts_tokens
        self._base_url = base_url.rstrip("/")
        self._proxy = proxy_for(base_url) if base_url else None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._later: set[asyncio.Task[None]] = set()

    @classmethod
    def of(cls, settings: EndpointSettings, *, connect_s: float, workers: int = 1) -> Pool:
        """Connections to an endpoint of the settings.

        Args:
            settings: The endpoint.
            connect_s: Seconds to connect.
            workers: Processes that share its limits.

        Raises:
            InputError: The key holds what no header can hold.
        """
        rates = (settings.requests_per_minute, settings.tokens_per_minute)
        requests, tokens = (None if rate is None else rate / workers for rate in rates)
        limiter = Limiter(
            math.ceil(settings.concurrency / workers),
            requests_per_minute=requests,
            tokens_per_minute=tokens,
        )
        key = read_key(settings.api_key_env) if settings.api_key_env else ""
        place = Place(settings.name, settings.api_key_env, key)
        return cls(
            place,
            settings.base_url,
            limiter,
            backoff_s=settings.backoff_s,
            connect_s=connect_s,
            counts_tokens=tokens is not None,
        )

    async def post(self, path: str, content: bytes) -> aiohttp.ClientResponse:
        """Sends a request; the answer's headers are there, its body is to be read.

        Args:
            path: After the base URL: `chat/completions`.
            content: JSON.

        Raises:
            Failure: The pool is closed, or the local server does not start.
            TimeoutError: It took too long to connect.
            ClientError: The endpoint cannot be reached.
        """
        base_url, key = self._base_url, self.place.key
        if self.server is not None:
            base_url, key = await self.server.ready()
        headers = {"Authorization": f"Bearer {key}"} if key else None
        tries = 0
        while True:
            used: dict[str, bool] = {}
            try:
                return await self._open().post(
                    f"{base_url}/{path}",
                    data=content,
                    headers=headers,
                    allow_redirects=False,
                    proxy=self._proxy,
                    trace_request_ctx=used,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # An endpoint may close a connection in the moment in which it is used again.
                if not used or tries == _STALE:
                    raise
            tries += 1

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Does what nobody waits for, such as reading an answer's last bytes."""
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def close(self) -> None:
        """Closes the connections, and ends the local server."""
        self._closed = True
        for task in tuple(self._later):
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        if self.server is not None:
            await self.server.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            msg = self.place.says("is not asked any more: the gateway is ending, or was reloaded")
            raise Failure(msg, told=503, elsewhere=False, counts=False, cost_usd=0.0)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # The limiter counts; a second limit would hold calls back that it let through.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.connect_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[_tracing()],
                # A packed stream comes in blocks, late.
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
            )
        return self._session


def _tracing() -> aiohttp.TraceConfig:
    """Marks the calls that go over a connection which was used before."""
    tracing = aiohttp.TraceConfig()

    async def mark(_session: object, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx["again"] = True

    tracing.on_connection_reuseconn.append(mark)
    return tracing
