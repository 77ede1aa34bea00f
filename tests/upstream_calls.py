"""Calls through the gateway's upstreams, for tests: a fleet at a stub, and the calls' records."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvloop

from fusionfactory.config import Config
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.log.record import Record
from fusionfactory.gateway.routing.ask import Ask
from fusionfactory.gateway.upstream.upstreams import Upstreams
from fusionfactory.serve_settings import UpstreamSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from typing import TypeVar

    from fusionfactory.gateway.upstream.answer import Answer
    from stub_upstream import StubUpstream

    Value = TypeVar("Value")

__all__ = ["BODY", "Calls", "calls_to", "run", "text_of"]

BODY: dict[str, Any] = {
    "model": "auto",
    "messages": [{"role": "user", "content": "what is it?"}],
    "metadata": {"kept": "yes"},
}


def run(body: Coroutine[Any, Any, Value]) -> Value:
    """Runs a coroutine on the loop that the gateway runs on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(body)


class Calls:
    """A fleet's upstreams, and the record of every call.

    Attributes:
        upstreams: What is tried.
        records: Of the calls, in order.
    """

    def __init__(self, upstreams: Upstreams) -> None:
        self.upstreams = upstreams
        self.records: list[Record] = []

    async def open(
        self, *arms: str, path: str = "chat/completions", deadline: float = 30.0, **fields: object
    ) -> Answer:
        """Asks the arms; further arguments are fields of the request."""
        record = Record("req_1", 0.0)
        self.records.append(record)
        body = {**BODY, **fields}
        ask = Ask("what is it?", "auto")
        return await self.upstreams.open(
            body, arms, None, record, ask=ask, path=path, deadline=deadline
        )

    async def whole(self, *arms: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401
        """The body of an answer."""
        answer = await self.open(*arms, **options)
        await answer.close()
        assert answer.body is not None
        return answer.body

    async def streamed(self, *arms: str, **options: Any) -> bytes:  # noqa: ANN401
        """All pieces of a stream, as one."""
        answer = await self.open(*arms, stream=True, **options)
        try:
            return b"".join([piece async for piece in answer.events])
        finally:
            await answer.close()


@asynccontextmanager
async def calls_to(
    stub: StubUpstream,
    *models: str | dict[str, Any],
    endpoint: dict[str, Any] | None = None,
    workers: int = 1,
    **settings: object,
) -> AsyncIterator[Calls]:
    """Upstreams whose models all are at the stub.

    Args:
        stub: The endpoint.
        models: Names, or settings of models.
        endpoint: Settings of the endpoint.
        workers: Processes that share its limits.
        settings: Of `[serve.upstream]`.
    """
    given = [{"name": model} if isinstance(model, str) else model for model in models]
    config = Config.model_validate(
        {
            "endpoints": [
                {
                    "name": "stub",
                    "base_url": stub.url,
                    "api_key_env": "STUB_KEY",
                    "backoff_s": 0.01,
                    **(endpoint or {}),
                }
            ],
            "models": [
                {"endpoint": "stub", "input_price": 1.0, "output_price": 2.0, **model}
                for model in given
            ],
        }
    )
    upstreams = Upstreams(Fleet(config), UpstreamSettings.model_validate(settings), workers=workers)
    try:
        yield Calls(upstreams)
    finally:
        await upstreams.close()


def text_of(body: dict[str, Any]) -> str:
    """What an answer says."""
    text: str = body["choices"][0]["message"]["content"]
    return text
