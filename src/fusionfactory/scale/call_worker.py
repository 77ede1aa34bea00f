"""A worker of a run on many machines: makes the calls of a batch, by leave of the desk."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionfactory.calls.crew import Crew
from fusionfactory.clients import ChatRequest
from fusionfactory.config import Config
from fusionfactory.errors import InputError
from fusionfactory.judge.structured import StructuredClient
from fusionfactory.plan import choose, make_clients
from fusionfactory.scale.line import Line, PacedClient, SharedLimits
from fusionfactory.scale.messages import Delivery
from fusionfactory.scale.shards import read_shards
from fusionfactory.scale.telling import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from fusionfactory.calls import Call
    from fusionfactory.clients import ChatReply, Client
    from fusionfactory.errors import CallError
    from fusionfactory.scale.messages import End

__all__ = ["CallWorker", "call_schema", "rows_of"]


@dataclass(frozen=True, slots=True)
class _NumberedCall:
    number: int
    endpoint: str
    request: ChatRequest


def call_schema() -> pa.Schema:
    """The columns of a shard of calls."""
    import pyarrow as pa

    return pa.schema(
        [("number", pa.int64()), ("endpoint", pa.string()), ("request", pa.large_string())]
    )


def rows_of(calls: Iterable[Call]) -> Iterator[dict[str, Any]]:
    """Calls as rows of shards, numbered from 0.

    Raises:
        InputError: A request is no JSON.
    """
    for number, call in enumerate(calls):
        request = call.request
        fields = (request.model, request.messages, request.params, request.occasion)
        try:
            text = json.dumps(fields, allow_nan=False)
        except (TypeError, ValueError) as error:
            msg = f"the request is no JSON: {error}"
            raise InputError(msg) from None
        yield {"number": number, "endpoint": call.endpoint, "request": text}


class CallWorker:
    """Makes the calls of shards, one shard at a time; lives in a process of the cluster.

    Clients, with connections and loaded models, are made once, with the first shard: so the desk
    knows of what goes wrong then. Their keys come from the process' own environment.

    Args:
        desk: The handle of the run's `Desk`.
        settings: As JSON: `[[endpoints]]` and `[[models]]`.
        models: Names of the models that are asked.
        structured: Whether replies are held to a JSON schema where the endpoint offers it.
        files: The file system of the shards.
    """

    def __init__(
        self,
        desk: Any,  # noqa: ANN401  Ray is optional
        settings: str,
        models: Sequence[str],
        structured: bool,
        files: Any,  # noqa: ANN401  fsspec is untyped
    ) -> None:
        self._settings, self._models, self._structured = settings, models, structured
        self._files = files
        self._runner = asyncio.Runner()
        self._line = Line(lambda name, *facts: getattr(desk, name).remote(*facts))
        self._clients: dict[str, Client] = {}

    def __call__(self, named: pa.Table) -> pa.Table:
        """Makes the calls that have no answer yet; gives the shard's name back.

        Args:
            named: One of `Shards.parts`.
        """
        self._runner.run(self._batch(read_shards(self._files, named)))
        return named

    def close(self) -> None:
        """Closes connections and models; the end of its process does so, too."""
        for client in self._clients.values():
            self._runner.run(client.close())
        self._runner.close()

    async def _batch(self, table: pa.Table) -> None:
        numbers = table["number"].to_pylist()
        opened = await self._line.open(numbers)
        wanted = set(opened.numbers)
        calls = [_call(row) for row in table.to_pylist() if row["number"] in wanted]
        if calls:
            try:
                await self._make(calls, opened.ends)
            except Exception as error:  # noqa: BLE001  whatever it is ends the run for all workers
                what = f"making calls {numbers[0] + 1:,} to {numbers[-1] + 1:,}"
                await self._line.fail(told(error, what))
        await self._line.close()

    async def _make(self, calls: Sequence[_NumberedCall], ends: Iterable[End]) -> None:
        self._clients = self._clients or self._made_clients()
        crew = Crew(calls, self._clients, may_start=_by_leave, told=self._told)
        for endpoint, model in ends:
            crew.end(endpoint, model)
        talk = asyncio.create_task(self._line.talk(lambda end: crew.end(*end), crew.drop))
        try:
            await crew.work(talk)
        finally:
            talk.cancel()
            await asyncio.gather(talk, return_exceptions=True)

    def _made_clients(self) -> dict[str, Client]:
        config = Config.model_validate_json(self._settings)
        clients = make_clients(
            config,
            choose("model", config.models, self._models),
            lambda endpoint: SharedLimits(self._line, endpoint.name, endpoint.concurrency),
        )
        paced = {endpoint.name for endpoint in config.endpoints}
        for name, client in clients.items():
            if name not in paced:
                clients[name] = PacedClient(
                    client, SharedLimits(self._line, name, client.concurrency)
                )
        if self._structured:
            return {name: StructuredClient(client) for name, client in clients.items()}
        return clients

    def _told(self, call: _NumberedCall, reply: ChatReply | None, error: CallError | None) -> None:
        self._line.tell(Delivery(call.number, call.request.model, reply, error))


async def _by_leave() -> bool:
    """A call may start: the clients ask the desk for leave themselves."""
    return True


def _call(row: dict[str, Any]) -> _NumberedCall:
    model, messages, params, occasion = json.loads(row["request"])
    request = ChatRequest(model, tuple(messages), params, occasion)
    return _NumberedCall(row["number"], row["endpoint"], request)
