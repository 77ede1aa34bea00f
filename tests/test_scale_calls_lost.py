"""Workers and nodes that die while calls are paid: nothing is lost, and no answer paid twice."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.errors import CallError, ClusterError
from fusionfactory.store import Store
from metered_endpoint import metered_endpoint
from metered_runs import calls_for, collect_by, rows, settings_for
from ray_cluster import NODE, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from metered_endpoint import Meter

_CONCURRENCY = 4
_WORKER = "ray::MapWorker(MapBatches(CallWorker))"


@pytest.fixture
def meter() -> Iterator[Meter]:
    with metered_endpoint() as meter:
        yield meter


def check_after_loss(meter: Meter, folder: Path, lose: Callable[[], None]) -> None:
    """Collects while `lose` takes something away in mid-run, and looks at what was asked and kept.

    Calls that were under way may be asked again, with the same key; no other may.
    """
    meter.latency_s = 0.05
    config = settings_for(meter, folder, concurrency=_CONCURRENCY)
    texts = [f"question {i}" for i in range(100)]
    calls = calls_for(config, texts)

    def lose_in_mid_run() -> None:
        meter.wait(lambda meter: sum(call.status == 200 for call in meter.calls) > 40, 120.0)
        lose()

    thread = threading.Thread(target=lose_in_mid_run)
    thread.start()
    with Store(folder / "ray.db") as store:
        summary = collect_by("ray", config, store, calls)
        found = rows(store)
    thread.join()
    assert (summary.done, summary.failed, summary.left, summary.stopped) == (200, 0, 0, ())
    keys: dict[tuple[str, str], list[str | None]] = defaultdict(list)
    for call in meter.calls:
        keys[call.model, call.question].append(call.key)
    asked_again = {call: given for call, given in keys.items() if len(given) > 1}
    assert len(keys) == 200
    assert len(meter.calls) - 200 <= _CONCURRENCY
    assert sum(call.gone for call in meter.calls) <= len(meter.calls) - 200
    for given in asked_again.values():
        assert given[0] is not None
        assert given[0] == given[1]
    meter.latency_s = 0.0
    with Store(folder / "local.db") as store:
        collect_by("local", config, store, calls)
        assert found == rows(store)


def node_with_a_worker(cluster: Any) -> Any:  # noqa: ANN401
    """A node that works, other than that of the driver."""
    parents = {
        int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        for pid in processes(_WORKER)
    }
    return next(
        node
        for node in cluster.list_all_nodes()
        if node is not cluster.head_node and node.all_processes["raylet"][0].process.pid in parents
    )


def test_a_killed_worker_loses_nothing(ray_cluster: Any, meter: Meter, tmp_path: Path) -> None:  # noqa: ANN401
    killed = []

    def lose() -> None:
        killed.append(processes(_WORKER)[0])
        os.kill(killed[0], signal.SIGKILL)

    check_after_loss(meter, tmp_path, lose)
    assert killed


def test_a_lost_node_loses_nothing(ray_cluster: Any, meter: Meter, tmp_path: Path) -> None:  # noqa: ANN401
    lost = []

    def lose() -> None:
        lost.append(node_with_a_worker(ray_cluster))
        ray_cluster.remove_node(lost[0], allow_graceful=False)

    try:
        check_after_loss(meter, tmp_path, lose)
    finally:
        ray_cluster.add_node(**NODE)
    assert lost


def test_without_its_desk_a_run_ends_and_the_next_goes_on(
    ray_cluster: Any,  # noqa: ANN401
    meter: Meter,
    tmp_path: Path,
) -> None:
    meter.latency_s = 0.05
    config = settings_for(meter, tmp_path, concurrency=_CONCURRENCY)
    calls = calls_for(config, [f"question {i}" for i in range(60)])

    def lose() -> None:
        meter.wait(lambda meter: len(meter.calls) > 30, 120.0)
        for pid in processes("ray::Desk"):
            os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=lose)
    thread.start()
    with Store(tmp_path / "runs.db") as store:
        with pytest.raises(ClusterError, match="making calls failed: the cluster lost work"):
            collect_by("ray", config, store, calls)
        thread.join()
        held = store.count()
        assert 0 < held < 120
        assert collect_by("local", config, store, calls).done == 120 - held


def test_keys_stay_in_the_environment_of_each_process(
    ray_cluster: Any,  # noqa: ANN401
    meter: Meter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY_OF_THE_DRIVER", "not for others")
    meter.bearer = "not for others"
    config = settings_for(meter, tmp_path, api_key_env="KEY_OF_THE_DRIVER")
    with Store(tmp_path / "runs.db") as store, pytest.raises(CallError, match="answered 401"):
        collect_by("ray", config, store, calls_for(config, ["one question"]))
    assert Counter(call.status for call in meter.calls) == {401: len(meter.calls)}
