"""Paid calls made by several workers: as by one process, and within limits that hold for all."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from fusionfactory.errors import CallError, ConfigError, StoreError
from fusionfactory.store import Store
from metered_endpoint import metered_endpoint
from metered_runs import COST_USD, calls_for, collect_by, rows, settings_for
from thread_hands import ThreadHands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fusionfactory.calls import Progress
    from metered_endpoint import Meter

pytest.importorskip("pyarrow", reason="the extra `ray` is not installed")


@pytest.fixture
def meter() -> Iterator[Meter]:
    with metered_endpoint() as meter:
        yield meter


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs.db") as store:
        yield store


@pytest.fixture(params=["threads", "ray"])
def engine(request: pytest.FixtureRequest) -> str:
    """Workers in threads, and those of a cluster of two nodes."""
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    return str(request.param)


def test_outcomes_are_those_of_one_process(meter: Meter, tmp_path: Path, engine: str) -> None:
    texts = [f"question {i}" + " fails" * (i % 7 == 3) + " again" * (i % 5 == 2) for i in range(40)]
    meter.pace, meter.latency_s = 5, 0.01
    config = settings_for(meter, tmp_path, concurrency=8, retries=20)
    found = []
    for by in ("local", engine):
        meter.calls.clear()
        meter.most_in_flight = 0
        with Store(tmp_path / f"{by}.db") as store:
            summary = collect_by(by, config, store, calls_for(config, texts))
            found.append((rows(store), summary))
        seen = Counter(call.status for call in meter.calls)
        assert seen[429] > 0
        assert seen[503] > 0
        assert 5 < meter.most_in_flight <= 8
    (one, here), (other, there) = found
    assert len(one) == 80
    assert other == one
    assert sum(row["error"] is not None for row in one) == 12
    for name in ("done", "failed", "left", "unpriced", "errors", "stopped"):
        assert getattr(here, name) == getattr(there, name)
    assert there.spent_usd == pytest.approx(here.spent_usd)
    assert not list(tmp_path.glob("fusionfactory-shards-*"))


def test_the_concurrency_is_that_of_all_workers(meter: Meter, store: Store, tmp_path: Path) -> None:
    meter.latency_s = 0.05
    config = settings_for(meter, tmp_path, concurrency=3)
    collect_by("threads", config, store, calls_for(config, [f"question {i}" for i in range(30)]))
    assert len(meter.calls) == 60
    assert meter.most_in_flight == 3


def test_requests_per_minute_are_those_of_all_workers(
    meter: Meter, store: Store, tmp_path: Path, engine: str
) -> None:
    config = settings_for(meter, tmp_path, requests_per_minute=600)
    collect_by(engine, config, store, calls_for(config, [f"question {i}" for i in range(15)]))
    # Ten may begin at once, and ten in every second after that; of each worker, all in half a one.
    assert len(meter.calls) == 30
    assert meter.calls[-1].at_s - meter.calls[0].at_s > 1.2


def test_an_overload_slows_all_workers_down(meter: Meter, store: Store, tmp_path: Path) -> None:
    meter.latency_s, meter.pace = 0.02, 2
    config = settings_for(meter, tmp_path, concurrency=16, retries=20)
    summary = collect_by(
        "threads", config, store, calls_for(config, [f"question {i}" for i in range(50)])
    )
    assert (summary.done, summary.failed) == (100, 0)
    late = Counter(call.status for call in meter.calls[-60:])
    assert late[200] > late[429]


@pytest.mark.parametrize(
    ("engine", "concurrency"), [("threads", 1), ("threads", 6), ("ray", 6)], indirect=["engine"]
)
def test_a_budget_is_overrun_by_the_calls_in_flight_at_most(
    meter: Meter, store: Store, tmp_path: Path, engine: str, concurrency: int
) -> None:
    meter.latency_s = 0.01
    config = settings_for(meter, tmp_path, concurrency=concurrency)
    calls = calls_for(config, [f"question {i}" for i in range(40)])
    budget_usd = 20.5 * COST_USD
    first = collect_by(engine, config, store, calls, budget_usd=budget_usd)
    assert first.stopped == (f"the budget of {budget_usd:g} USD is spent",)
    assert 21 <= len(meter.calls) <= 20 + concurrency
    assert first.done == len(meter.calls) == store.count()
    assert first.left == 80 - first.done
    spent = collect_by(engine, config, store, calls, budget_usd=budget_usd)
    assert (spent.done, spent.stopped) == (0, first.stopped)
    rest = collect_by("local", config, store, calls, budget_usd=1.0)
    assert (rest.done, rest.left, rest.stopped) == (first.left, 0, ())
    assert len(meter.calls) == len({(call.model, call.question) for call in meter.calls}) == 80


def test_an_endpoint_that_does_not_say_what_it_used_gets_no_further_call(
    meter: Meter, store: Store, tmp_path: Path
) -> None:
    config = settings_for(meter, tmp_path, concurrency=2)
    calls = calls_for(config, [f"mute {i}" for i in range(30)])
    summary = collect_by("threads", config, store, calls, budget_usd=1.0)
    assert summary.stopped == ("here does not say what a call used: no budget holds",)
    assert summary.done == len(meter.calls) <= 3


def test_a_wrong_key_is_said_once(
    meter: Meter, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    meter.bearer = "right"
    config = settings_for(meter, tmp_path, concurrency=2)
    calls = calls_for(config, [f"question {i}" for i in range(30)])
    with pytest.raises(CallError, match="answered 401"):
        collect_by("threads", config, store, calls)
    assert len(meter.calls) <= 4
    assert store.count() == 0


def test_an_endpoint_is_given_up_after_failures_in_a_row(
    meter: Meter, store: Store, tmp_path: Path
) -> None:
    config = settings_for(meter, tmp_path, concurrency=2)
    calls = calls_for(config, [f"fails {i}" for i in range(40)])
    summary = collect_by("threads", config, store, calls)
    assert "here is given up after 25 failures in a row" in summary.stopped[0]
    assert 25 <= summary.failed == summary.done == len(meter.calls) <= 27


def test_an_interrupt_keeps_what_is_paid(meter: Meter, store: Store, tmp_path: Path) -> None:
    meter.latency_s = 0.05
    config = settings_for(meter, tmp_path, concurrency=4)
    calls = calls_for(config, [f"question {i}" for i in range(100)])

    def interrupt() -> None:
        meter.wait(lambda meter: len(meter.calls) > 10)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    summary = collect_by("threads", config, store, calls)
    thread.join()
    assert summary.stopped == ("interrupted",)
    assert 10 < summary.done == len(meter.calls) == store.count() < 100
    assert summary.left == 200 - summary.done
    assert not any(call.gone for call in meter.calls)


@pytest.mark.parametrize("engine", ["local", "threads"])
def test_what_fails_after_an_interrupt_is_not_waited_for(
    meter: Meter, store: Store, tmp_path: Path, engine: str
) -> None:
    meter.latency_s = 0.2
    config = settings_for(meter, tmp_path, concurrency=2)

    def interrupt() -> None:
        meter.wait(lambda meter: len(meter.calls) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    calls = calls_for(config, [f"again {i}" for i in range(10)])
    summary = collect_by(engine, config, store, calls)
    thread.join()
    assert summary.stopped == ("interrupted",)
    assert summary.done + summary.left == 20
    assert summary.done == store.count() <= 2


def test_the_second_interrupt_waits_for_no_worker_that_never_starts(
    meter: Meter, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr("fusionfactory.scale.calls._PATIENCE_S", 0.1)
    monkeypatch.setattr(ThreadHands, "work", lambda *_: free.wait(60.0))
    config = settings_for(meter, tmp_path)
    calls = calls_for(config, ["one question"])

    def progress(state: Progress) -> None:
        if not state.done:
            for delay_s in (0.2, 0.4):
                asyncio.get_running_loop().call_later(delay_s, os.kill, os.getpid(), signal.SIGINT)

    summary = collect_by("threads", config, store, calls, progress=progress)
    free.set()
    assert (summary.done, summary.left, summary.stopped) == (0, 2, ("interrupted",))


def test_the_second_interrupt_drops_what_is_under_way(
    meter: Meter, store: Store, tmp_path: Path
) -> None:
    meter.latency_s = 60.0
    config = settings_for(meter, tmp_path, concurrency=2)

    def interrupt() -> None:
        for _ in range(2):
            meter.wait(lambda meter: len(meter.calls) == 2)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)

    thread = threading.Thread(target=interrupt)
    thread.start()
    calls = calls_for(config, [f"question {i}" for i in range(10)])
    summary = collect_by("threads", config, store, calls)
    thread.join()
    assert (summary.done, summary.left) == (0, 20)
    assert len(meter.calls) == 2


def test_a_store_that_fails_ends_the_run(meter: Meter, store: Store, tmp_path: Path) -> None:
    meter.latency_s = 0.02
    config = settings_for(meter, tmp_path, concurrency=4)

    def progress(state: Progress) -> None:
        if state.done:
            msg = "disk full"
            raise StoreError(msg)

    calls = calls_for(config, [f"question {i}" for i in range(100)])
    with pytest.raises(StoreError, match="disk full"):
        collect_by("threads", config, store, calls, progress=progress)
    assert len(meter.calls) < 200


def test_what_a_worker_cannot_do_without_is_said_here(
    meter: Meter, store: Store, tmp_path: Path
) -> None:
    config = settings_for(meter, tmp_path)
    lost = config.models[0].model_copy(update={"endpoint": None, "gguf": tmp_path / "lost.gguf"})
    config = config.model_copy(update={"models": (lost,)})
    with pytest.raises(ConfigError, match=r"lost\.gguf.*no such model file") as caught:
        collect_by("threads", config, store, calls_for(config, ["one question", "two"]))
    assert caught.value.field == "gguf"
