"""A gateway in a thread, on a real socket, for the tests of its API.

    with stub_upstream(small=Knobs()) as stub, served_gateway(stub.url, tmp_path) as served:
        ...  # served.url ends in /v1; served.journal.records says what was recorded

Its parts are the gateway's own; only the journal keeps its records besides, and the decider may be
told what to decide.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import openai
import orjson
import uvicorn
import uvloop

from fusionfactory.config import Config
from fusionfactory.gateway.access import Access, KeyFile, Meters
from fusionfactory.gateway.app import make_app
from fusionfactory.gateway.cache import AnswerCache
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.gateway import Gateway
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.gateway.log.journal import Journal
from fusionfactory.gateway.log.record import Attempt
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.gateway.planning.plans import Plans
from fusionfactory.gateway.routing.ask import Routed
from fusionfactory.gateway.routing.decider import Routing
from fusionfactory.gateway.routing.prompts import Prompts
from fusionfactory.gateway.upstream.upstreams import Upstreams
from fusionfactory.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from fusionfactory.gateway.fleet import Target
    from fusionfactory.gateway.log.record import Record
    from fusionfactory.gateway.routing.ask import Ask

__all__ = [
    "KeptJournal",
    "PlainAnswer",
    "PlainUpstreams",
    "Raw",
    "Served",
    "Told",
    "served_gateway",
]

MODELS: tuple[dict[str, Any], ...] = (
    {"name": "small", "endpoint": "stub", "input_price": 1.0, "output_price": 2.0},
    {"name": "large", "endpoint": "stub", "input_price": 10.0, "output_price": 20.0},
)


_NOWHERE = "http://127.0.0.1:9/v1"


class KeptJournal(Journal):
    """Keeps the records in memory, too.

    Attributes:
        records: In the order in which they were written.
    """

    records: list[Record]

    async def write(self, record: Record) -> bool:
        self.records.append(record)
        return await super().write(record)


@dataclass
class Told:
    """A decider that decides what it is told to.

    Attributes:
        arms: In the order in which they are to be tried.
        asks: What it was asked.
        moved: Conversations and the arms that answered in place of the chosen ones.
    """

    arms: tuple[str, ...] = ("small", "large")
    asks: list[Ask] = field(default_factory=list)
    moved: list[tuple[str | None, str]] = field(default_factory=list)

    async def decide(self, ask: Ask) -> Routed:
        self.asks.append(ask)
        estimates: dict[str, tuple[float, float | None]]
        estimates = dict.fromkeys(self.arms, (0.75, 0.002))
        return Routed(self.arms, "best", "balance", "v7", 0.9, {self.arms[0]: 0.9}, estimates)

    def answered(self, session: str | None, arm: str) -> None:
        self.moved.append((session, arm))


class PlainUpstreams:
    """Answers every request at once, by the first of its arms."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def open(
        self,
        body: dict[str, Any],
        arms: tuple[str, ...],
        prompts: object,
        record: Record,
        /,
        *,
        ask: Ask,
        path: str = "chat/completions",
        deadline: float,
        pause_s: float | None = None,
    ) -> PlainAnswer:
        attempt = Attempt(arms[0], 0.0, 200)
        record.attempts.append(attempt)
        # What cannot be sent on is no request.
        orjson.dumps(body)
        return PlainAnswer(self._fleet[arms[0]], attempt, is_stream=body.get("stream") is True)

    def states(self) -> dict[str, Any]:
        return {}


class PlainAnswer:
    """What `PlainUpstreams` answers."""

    def __init__(self, target: Target, attempt: Attempt, *, is_stream: bool) -> None:
        self.target, self.attempt = target, attempt
        choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}}
        whole = {"choices": [{**choice, "finish_reason": "stop"}], "data": []}
        self.body = None if is_stream else whole

    @property
    async def events(self) -> AsyncIterator[bytes]:
        chunk = {"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]}
        yield b"data: " + orjson.dumps(chunk) + b"\n\ndata: [DONE]\n\n"

    async def close(self) -> None:
        return


class _Counted:
    def __init__(self) -> None:
        self.turned_away: list[int] = []

    def turn_away(self, status: int) -> None:
        self.turned_away.append(status)

    def observe(self, record: Record) -> None:
        assert record.latency_s is not None


@dataclass(frozen=True)
class Raw:
    """An answer as it came; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.body)


@dataclass
class Served:
    """A gateway that answers.

    Attributes:
        gateway: It.
        url: Base URL, ending in `/v1`.
        journal: What it recorded.
        told: Its decider, unless it is the gateway's own.
        clients: Those that were made, to be closed with it.
    """

    gateway: Gateway
    url: str
    journal: KeptJournal
    told: Told
    clients: list[openai.OpenAI] = field(default_factory=list)

    @property
    def last(self) -> Record:
        """The latest record."""
        return self.journal.records[-1]

    def client(self, key: str = "none") -> openai.OpenAI:
        """OpenAI's own client, that does not try again."""
        client = openai.OpenAI(base_url=self.url, api_key=key, max_retries=0)
        self.clients.append(client)
        return client

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Raw:
        """Asks without a client; the path begins with `/`."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10.0)
        try:
            connection.request(method, path, content, dict(headers or {}))
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Raw(response.status, named, response.read())
        finally:
            connection.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.removesuffix("/v1").rpartition(":")[2])

    def wait(self, until: Callable[[Served], object], within_s: float = 10.0) -> None:
        """Waits until something holds."""
        end = time.monotonic() + within_s
        while not until(self):
            assert time.monotonic() < end, f"not within {within_s:g} s: {self.journal.records}"
            time.sleep(0.002)


@contextmanager
def served_gateway(
    endpoint: str | None,
    state: Path,
    *,
    models: tuple[dict[str, Any], ...] = MODELS,
    routing: bool = False,
    **serve: Any,  # noqa: ANN401  any setting
) -> Iterator[Served]:
    """Serves for as long as the block lasts.

    Args:
        endpoint: Base URL of the endpoint `stub`; None for `PlainUpstreams`.
        state: Folder of the gateway's state.
        models: The `[[models]]`.
        routing: Whether the gateway's own decider decides, without a router.
        serve: Settings of `[serve]`.
    """
    config = Config.model_validate(
        {
            "store": f"sqlite:///{state / 'log.db'}",
            "endpoints": [{"name": "stub", "base_url": endpoint or _NOWHERE, "api_key_env": ""}],
            "models": models,
            "serve": {"state": str(state), "dashboard": False, **serve},
        }
    )
    ready, stopping = threading.Event(), threading.Event()
    found: list[Served] = []

    async def run() -> None:
        store = Store(config.store or "")
        gateway, told = _made(config, state, store, routing=routing)
        if endpoint is None:
            gateway.upstreams = PlainUpstreams(gateway.fleet)
        journal = gateway.journal
        assert isinstance(journal, KeptJournal)
        journal.start()
        server = _server(gateway)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        found.append(Served(gateway, f"http://127.0.0.1:{port}/v1", journal, told))
        ready.set()
        while not stopping.is_set():
            await asyncio.sleep(0.005)
        server.should_exit = True
        await serving
        await _close(gateway)
        store.close()

    def work() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        assert ready.wait(20.0), "the gateway did not start"
        yield found[0]
    finally:
        for client in found[0].clients if found else ():
            client.close()
        stopping.set()
        thread.join(20.0)
    check_that_all_are_charged(state)


def check_that_all_are_charged(state: Path) -> None:
    """Checks that no key's request counts as under way for ever."""
    if keys := KeyFile(state).read():
        meters, now = Meters(state), time.time()
        assert not any(meters(key.number).spending(now)[0].under_way for key in keys)


def _made(config: Config, state: Path, store: Store, *, routing: bool) -> tuple[Gateway, Told]:
    settings, fleet, told = config.serve, Fleet(config), Told()
    upstreams = Upstreams(fleet, settings.upstream)
    plans = Plans.load(config, fleet)
    own = Routing(fleet, settings.routing, plans=plans.arms) if routing else None
    journal = KeptJournal(state / "journal", 0, settings.log)
    journal.records = []
    gateway = Gateway(
        settings=settings,
        config=config,
        fleet=fleet,
        decider=own or told,
        prompts=Prompts.load(config, fleet),
        upstreams=upstreams,
        journal=journal,
        access=Access(settings, state),
        cache=AnswerCache(settings.cache),
        metrics=_Counted(),
        traffic=Traffic(store),
        versions=Versions(state),
        plans=plans,
    )
    return gateway, told


async def _close(gateway: Gateway) -> None:
    if isinstance(gateway.decider, Routing):
        gateway.decider.close()
    if isinstance(gateway.upstreams, Upstreams):
        await gateway.upstreams.close()
    assert isinstance(gateway.journal, KeptJournal)
    await gateway.journal.close()


def _server(gateway: Gateway) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            make_app(gateway), port=0, http="httptools", ws="none", lifespan="off",
            log_config=None, access_log=False, timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
