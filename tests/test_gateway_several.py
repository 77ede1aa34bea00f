"""What several gateways of one store leave to one of them, and what they say of the store."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from fusionfactory.errors import StoreAwayError, StoreError
from fusionfactory.gateway.dashboard.recent import Recent
from fusionfactory.gateway.log.retention import Retention
from fusionfactory.gateway.log.segment import Segment
from fusionfactory.gateway.operations.lease import Lease, alone, release_all
from fusionfactory.gateway.operations.store_watch import StoreWatch, store_seen
from fusionfactory.serve_settings import LogSettings
from fusionfactory.store import Store
from gateway_parts import served_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

NOW_S, DAY_S = 1.8e9, 86_400.0


@pytest.fixture
def store(postgres: PostgresServer) -> Iterator[Store]:
    with Store(postgres.database()) as opened:
        yield opened


def test_one_gateway_has_a_duty_and_the_others_have_not(store: Store) -> None:
    leases = [Lease(store, "alarms", f"host-{number}", 60.0) for number in range(3)]
    assert [lease.take() for lease in leases] == [True, False, False]
    assert [lease.take() for lease in leases] == [True, False, False]
    assert Lease(store, "retention", "host-1", 60.0).take()


def test_a_duty_passes_on_when_its_time_is_over(store: Store) -> None:
    first, second = (Lease(store, "alarms", name, 0.2) for name in ("host-0", "host-1"))
    assert first.take()
    assert not second.take()
    end = time.monotonic() + 10.0
    while not second.take():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert not first.take()


def test_a_gateway_that_ends_passes_every_duty_on(store: Store) -> None:
    for duty in ("alarms", "retention"):
        assert Lease(store, duty, "host-0", 60.0).take()
    assert Lease(store, "judging", "host-2", 60.0).take()
    release_all(store, "host-0")
    taken = {d: Lease(store, d, "host-1", 60.0).take() for d in ("alarms", "retention", "judging")}
    assert taken == {"alarms": True, "retention": True, "judging": False}


def test_a_step_is_done_by_one_and_passed_on_where_it_fails(store: Store) -> None:
    done: list[str] = []
    fails = {"host-0"}

    def step(name: str) -> int:
        if name in fails:
            raise StoreError(name)
        done.append(name)
        return 1

    one, other = (
        alone(Lease(store, "judging", name, 60.0), lambda name=name: step(name))  # type: ignore[misc]
        for name in ("host-0", "host-1")
    )
    with pytest.raises(StoreError, match="host-0"):
        one()
    fails.clear()
    assert (other(), one()) == (1, 0)
    assert done == ["host-1"]


def test_every_gateway_clears_its_own_machine_of_what_is_too_old(
    store: Store, tmp_path: Path
) -> None:
    for name, days in (("old", 40), ("young", 20)):
        file = tmp_path / f"{name}.damaged"
        file.write_bytes(b"0\tsecret")
        os.utime(file, (NOW_S - days * DAY_S,) * 2)
    Retention(store, tmp_path, LogSettings()).clear_folder(NOW_S)
    assert len(list(tmp_path.iterdir())) == 2
    Retention(store, tmp_path, LogSettings(retention_days=30)).clear_folder(NOW_S)
    assert [path.name for path in tmp_path.iterdir()] == ["young.damaged"]


def test_workers_hear_when_the_store_was_reached_last(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert store_seen(state) is None
    with Store(tmp_path / "runs.db") as store:
        assert StoreWatch(store, state).step() == 0
    first = store_seen(state)
    assert first is not None
    assert first <= time.time()
    os.utime(state / "store-seen", (7.0, 7.0))
    with pytest.raises(StoreError, match="closed"):
        StoreWatch(store, state).step()
    assert store_seen(state) == 7.0


def test_segments_of_two_hosts_never_have_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_000)
    names = set()
    for host in ("one", "two"):
        (tmp_path / host).mkdir()
        segment = Segment.create(tmp_path / host, 0)
        names.add(segment.path.name)
        segment.close()
    assert len(names) == 2


class _AwayTraffic:
    def decision(self, id_: str, /) -> dict[str, object] | None:
        raise StoreAwayError(id_)


def test_feedback_that_needs_a_store_which_is_away_may_be_tried_elsewhere(tmp_path: Path) -> None:
    with served_gateway("http://127.0.0.1:9/v1", tmp_path) as served:
        served.gateway.traffic = _AwayTraffic()
        request = urllib.request.Request(  # noqa: S310  a server of our own
            f"{served.url}/feedback",
            json.dumps({"id": "req_1", "score": 1.0}).encode(),
            {"content-type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError, match="503") as refused:
            urllib.request.urlopen(request, timeout=30)  # noqa: S310
        with refused.value as answer:
            assert json.load(answer)["error"]["code"] == "store_unavailable"
            assert answer.headers["retry-after"] == "1"


def test_nobody_waits_for_ever_for_a_store_that_does_not_answer() -> None:
    answers = threading.Event()
    recent = Recent()

    async def ask() -> bool:
        with pytest.raises(StoreAwayError, match=r"did not answer within 0\.05 s"):
            await recent.fresh(answers.wait, 0.05)
        answers.set()
        return await recent.fresh(answers.wait, 30.0)

    assert asyncio.run(ask())
