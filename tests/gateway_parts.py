"""A gateway in a thread, on a real socket, for the tests of its API.

    with stub_upstream(small=Knobs()) as stub, served_gateway(stub.url, tmp_path) as served:
        ...  # served.url ends in /v1; served.journal.records says what was recorded

Its parts are the gateway's own; only the journal keeps its records besides, and the decider may be
told what to decide.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import openai
import uvicorn
import uvloop

from fusionfactory.config import Config
from fusionfactory.gateway.access.access import Access
from fusionfactory.gateway.app import make_app
from fusionfactory.gateway.fleet import Fleet
from fusionfactory.gateway.gateway import Gateway
from fusionfactory.gateway.learning.versions import Versions
from fusionfactory.gateway.log.journal import Journal
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.gateway.routing.ask import Routed
from fusionfactory.gateway.routing.decider import Routing
from fusionfactory.gateway.routing.prompts import Prompts
from fusionfactory.gateway.upstream.upstreams import Upstreams
from fusionfactory.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fusionfactory.gateway.log.record import Record
    from fusionfactory.gateway.routing.ask import Ask

__all__ = ["KeptJournal", "Served", "Told", "served_gateway"]

MODELS: tuple[dict[str, Any], ...] = (
    {"name": "small", "endpoint": "stub", "input_price": 1.0, "output_price": 2.0},
    {"name": "large", "endpoint": "stub", "input_price": 10.0, "output_price": 20.0},
)


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
    """

    arms: tuple[str, ...] = ("small", "large")
    asks: list[Ask] = field(default_factory=list)

    async def decide(self, ask: Ask) -> Routed:
        self.asks.append(ask)
        estimates: dict[str, tuple[float, float | None]]
        estimates = dict.fromkeys(self.arms, (0.75, 0.002))
        return Routed(self.arms, "best", "balance", "v7", 0.9, {self.arms[0]: 0.9}, estimates)


class _NoCache:
    def key(self, client: str | None, path: str, body: Mapping[str, Any], /) -> str | None:
        return None

    def get(self, key: str, /) -> dict[str, Any] | None:
        raise KeyError(key)

    def put(self, key: str, answer: dict[str, Any], /) -> None:
        raise KeyError(key)


class _Counted:
    def observe(self, record: Record) -> None:
        assert record.latency_s is not None


@dataclass
class Served:
    """A gateway that answers.

    Attributes:
        gateway: It.
        url: Base URL, ending in `/v1`.
        journal: What it recorded.
        told: Its decider, unless it is the gateway's own.
    """

    gateway: Gateway
    url: str
    journal: KeptJournal
    told: Told

    @property
    def last(self) -> Record:
        """The latest record."""
        return self.journal.records[-1]

    def client(self, key: str = "none") -> openai.OpenAI:
        """OpenAI's own client, that does not try again."""
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=0)


@contextmanager
def served_gateway(
    upstream: str,
    state: Path,
    *,
    models: tuple[dict[str, Any], ...] = MODELS,
    routing: bool = False,
    **serve: Any,  # noqa: ANN401  any setting
) -> Iterator[Served]:
    """Serves for as long as the block lasts.

    Args:
        upstream: Base URL of the endpoint `stub`.
        state: Folder of the gateway's state.
        models: The `[[models]]`.
        routing: Whether the gateway's own decider decides, without a router.
        serve: Settings of `[serve]`.
    """
    config = Config.model_validate(
        {
            "store": f"sqlite:///{state / 'log.db'}",
            "endpoints": [{"name": "stub", "base_url": upstream, "api_key_env": ""}],
            "models": models,
            "serve": {"state": str(state), "dashboard": False, **serve},
        }
    )
    ready, stopping = threading.Event(), threading.Event()
    found: list[Served] = []

    async def run() -> None:
        store = Store(config.store or "")
        gateway, told = _made(config, state, store, routing=routing)
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
        assert isinstance(gateway.upstreams, Upstreams)
        await gateway.upstreams.close()
        await journal.close()
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
        stopping.set()
        thread.join(20.0)


def _made(config: Config, state: Path, store: Store, *, routing: bool) -> tuple[Gateway, Told]:
    settings, fleet, told = config.serve, Fleet(config), Told()
    upstreams = Upstreams(fleet, settings.upstream)
    own = Routing(fleet, settings.routing) if routing else None
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
        cache=_NoCache(),
        metrics=_Counted(),
        traffic=Traffic(store),
        versions=Versions(state),
    )
    return gateway, told


def _server(gateway: Gateway) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            make_app(gateway), port=0, http="httptools", ws="none", lifespan="off",
            log_config=None, access_log=False, timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
