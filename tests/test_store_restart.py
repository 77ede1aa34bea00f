"""PostgreSQL is restarted, in good order and as by a crash, while everything writes to it."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

import polars as pl
import pytest

from fake_judge import FakeClient, graded, judge_of
from fusionfactory.clients import ChatReply, ChatRequest
from fusionfactory.collect import ArmCall, collect
from fusionfactory.errors import StoreError
from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.judge import judge
from fusionfactory.layout import to_long
from fusionfactory.pricing import CallPrice
from fusionfactory.scoring import score_outcomes
from fusionfactory.serve_settings import LogSettings
from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Query
from gateway_log import a_record, write
from postgres_server import PostgresServer, postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

_PAUSE_S = 0.01
_AFTER = 5


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that these tests may restart, and that waits for the disk."""
    with postgres_server(durable=True) as started:
        yield started


class Clock:
    """Tells writers when the server has been restarted, and the test how far they are."""

    def __init__(self) -> None:
        self._steps = 0
        self._enough = threading.Event()
        self.restarted = threading.Event()

    def step(self) -> None:
        """Something is written."""
        self._steps += 1
        if self._steps >= _AFTER:
            self._enough.set()
        time.sleep(_PAUSE_S)

    def wait(self, writer: Future[None]) -> None:
        """Until a few steps are done."""
        until = time.monotonic() + 120
        while not self._enough.wait(0.1):
            assert time.monotonic() < until
            if writer.done():
                writer.result()

    def goes_on(self) -> Iterator[int]:
        """Numbers, until a few after the restart."""
        number = 0
        while not self.restarted.is_set():
            yield number
            number += 1
        yield from range(number, number + _AFTER)


def appends(url: str, clock: Clock, _folder: Path) -> None:
    with Store(url) as store:
        store.add_queries([Query("q", "?")])
        store.add_arms([Arm("m")])
        acknowledged = []
        for sample in clock.goes_on():
            store.append([Outcome("q", "m", sample)])
            acknowledged.append(("q", "m", sample))
            clock.step()
        assert store.keys() == set(acknowledged)


def imports(url: str, clock: Clock, _folder: Path) -> None:
    n, written = 2_000, 0
    with Store(url) as store:
        for part in clock.goes_on():
            ids = [f"{part}-{row}" for row in range(n)]
            rows = pl.DataFrame({"query_id": ids, "query": ids}).with_columns(
                task_name=pl.lit("t"), llm=pl.lit("m"), response=pl.lit("x" * 200)
            )
            written += store.write_frame(to_long(rows))
            clock.step()
        assert store.count() == written


class Paid:
    """Counts what it was asked, for each answer is paid."""

    concurrency = 2

    def __init__(self, clock: Clock) -> None:
        self._clock, self.asked = clock, 0

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.asked += 1
        await asyncio.to_thread(self._clock.step)
        return ChatReply(f"re: {request.model}", "stop", 1, 1, 0.1)

    def drop_waiting(self) -> None:
        """Nothing waits."""

    async def close(self) -> None:
        """Nothing is open."""


def collects(url: str, clock: Clock, _folder: Path) -> None:
    price, spent = CallPrice("made-up", input_price=1.0, output_price=1.0), 0
    with Store(url) as store:
        for part in clock.goes_on():
            calls = [
                ArmCall(Query(f"q{part}-{i}", f"{i}?"), Arm("m"), ChatRequest("m", ()), "e", price)
                for i in range(5)
            ]
            client = Paid(clock)
            assert collect(store, calls, {"e": client}).done == client.asked == 5
            spent += client.asked
        assert store.count() == spent


def filled(store: Store, part: int) -> int:
    ids = [f"q{part}-{i}" for i in range(20)]
    store.add_queries(Query(i, "2 + 2?", target="4", metric="number", task="t") for i in ids)
    store.add_arms([Arm("m")])
    return store.append(Outcome(i, "m", response="It is right: #### 4") for i in ids)


def scores(url: str, clock: Clock, _folder: Path) -> None:
    total = 0
    with Store(url) as store:
        for part in clock.goes_on():
            new = filled(store, part)
            assert score_outcomes(store, workers=1).scored == new
            total += new
            clock.step()
        assert score_outcomes(store, workers=1).kept == total


def judges(url: str, clock: Clock, _folder: Path) -> None:
    total = 0
    client = FakeClient(graded({"right": 1.0}))
    with Store(url) as store:
        for part in clock.goes_on():
            total += filled(store, part)
            judge(store, judge_of(client))
            clock.step()
        assert len(client.asked) == total
        assert (store.table().judge == 1.0).all()


def ingests(url: str, clock: Clock, folder: Path) -> None:
    sent: list[str] = []
    with Store(url) as store:
        ingester = Ingester(store, folder, LogSettings())
        for _ in clock.goes_on():
            records = [a_record() for _ in range(20)]
            asyncio.run(write(folder, *records))
            sent += [record.id for record in records]
            _until_taken_in(ingester)
            clock.step()
        assert [query.id for query in store.queries()] == sent
        assert Traffic(store).summary(0)["requests"] == store.count() == len(sent)
    assert not list(folder.iterdir())


def _until_taken_in(ingester: Ingester) -> None:
    """As the duty does: a step that fails is taken again."""
    until = time.monotonic() + 60
    while True:
        try:
            if not ingester.step():
                return
        except StoreError:
            assert time.monotonic() < until
            time.sleep(_PAUSE_S)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_costs_nothing_that_was_acknowledged(
    server: PostgresServer, tmp_path: Path, mode: Literal["fast", "immediate"]
) -> None:
    writers: list[Callable[[str, Clock, Path], None]]
    writers = [appends, imports, collects, scores, judges, ingests]
    clocks = [Clock() for _ in writers]
    with ThreadPoolExecutor(len(writers)) as pool:
        done = [
            pool.submit(writer, server.database(), clock, tmp_path / "journal")
            for writer, clock in zip(writers, clocks, strict=True)
        ]
        try:
            for clock, future in zip(clocks, done, strict=True):
                clock.wait(future)
            server.stop(mode)
            server.start()
        finally:
            for clock in clocks:
                clock.restarted.set()
        for future in done:
            future.result(120)
