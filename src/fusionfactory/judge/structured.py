"""Structured output where an endpoint offers it, and the same call without it where not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.clients import ChatReply, ChatRequest, Client

__all__ = ["StructuredClient", "response_format"]

_NOT_UNDERSTOOD = frozenset({400, 422, 501})


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's `response_format` of a JSON schema."""
    return {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "strict": True, "schema": dict(schema)},
    }


class StructuredClient:
    """Sends `response_format` until the endpoint refuses it, and then no more.

    A call that is answered 400 is made once more without it. If that works, the endpoint does not
    offer structured output, whatever its message said. Once a call with it has worked, a 400 has
    another cause and is the call's failure.

    Args:
        client: Makes the calls; closed with this one.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.offered: bool | None = None

    @property
    def concurrency(self) -> int:
        """Of the client within."""
        return self._client.concurrency

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Makes one call, where need be twice.

        Raises:
            CallError: It failed, and not for its `response_format`.
        """
        if "response_format" not in request.params:
            return await self._client.complete(request)
        rest = {k: v for k, v in request.params.items() if k != "response_format"}
        plain = replace(request, params=rest)
        if self.offered is False:
            return await self._client.complete(plain)
        try:
            reply = await self._client.complete(request)
        except CallError as error:
            if self.offered or error.status not in _NOT_UNDERSTOOD:
                raise
        else:
            self.offered = True
            return reply
        reply = await self._client.complete(plain)
        if self.offered is None:
            self.offered = False
        return reply

    def drop_waiting(self) -> None:
        """Of the client within."""
        self._client.drop_waiting()

    async def close(self) -> None:
        """Closes the client within."""
        await self._client.close()
