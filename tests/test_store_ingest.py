"""Journals of several gateways into one PostgreSQL store, and lines that it cannot hold."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.gateway.log.ingest import DAMAGED, Ingester
from fusionfactory.gateway.log.rows import request_row
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.serve_settings import LogSettings
from fusionfactory.store import Store
from fusionfactory.types import Arm
from gateway_log import a_record, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fusionfactory.gateway.log.record import Record
    from postgres_server import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        yield opened


def take_in(store: Store, folder: Path) -> None:
    ingester = Ingester(store, folder, LogSettings())
    while ingester.step():
        pass


def test_a_value_that_the_database_cannot_hold_costs_its_line_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the reader of lines does not know to be too large."""

    def row(record: Record, *rest: Any) -> dict[str, Any]:  # noqa: ANN401
        large = {"status": 10**12} if record.id == "g3" else {}
        return request_row(record, *rest) | large

    monkeypatch.setattr("fusionfactory.gateway.log.recorded.request_row", row)
    asyncio.run(write(tmp_path, *(a_record(id=f"g{number}") for number in range(5))))
    take_in(store, tmp_path)
    assert [query.id for query in store.queries()] == ["g0", "g1", "g2", "g4"]
    (aside,) = tmp_path.iterdir()
    assert aside.suffix == DAMAGED
    assert b'"g3"' in aside.read_bytes()


def test_gateways_and_a_collector_name_the_same_arms_at_once(
    url: str, store: Store, tmp_path: Path
) -> None:
    gateways, chunks = 3, 6

    def gateway(number: int) -> None:
        folder = tmp_path / str(number)
        with Store(url) as mine:
            for part in range(chunks):
                names = [f"new{part}-{i}" for i in range(4)]
                records = [a_record(arm=name, chosen=name, attempts=[]) for name in names]
                asyncio.run(write(folder, *records))
                take_in(mine, folder)

    def collector() -> None:
        for part in range(chunks):
            store.add_arms([Arm(f"new{part}-{i}") for i in range(4)])

    with ThreadPoolExecutor(gateways + 1) as pool:
        futures = [pool.submit(gateway, number) for number in range(gateways)]
        futures.append(pool.submit(collector))
        for future in futures:
            future.result()
    assert Traffic(store).summary(0)["requests"] == gateways * chunks * 4
    assert not list(tmp_path.glob(f"*/*{DAMAGED}"))
    names = [arm.name for arm in store.arms()]
    assert len(names) == len(set(names)) >= chunks * 4
