"""What nobody foresaw on a cluster: one error that says what failed, where and why; no loop."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
from dataclasses import asdict
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from command_line import run
from fusionfactory.cli.log import show_log
from fusionfactory.config import ScaleSection
from fusionfactory.errors import ClusterError, FusionFactoryError, TableError
from fusionfactory.scale import tally
from fusionfactory.scale.evaluation import trials_on_ray
from fusionfactory.scale.hand import NAME, Hand, result, sent
from fusionfactory.scale.losses import as_ours, losses_told
from fusionfactory.scale.pool import mapped
from fusionfactory.scale.scoring import ScoringWorker, mark_on_ray
from fusionfactory.scale.tally import Tally
from fusionfactory.scale.telling import raised, told
from fusionfactory.scoring import score_outcomes
from fusionfactory.steps import Steps
from fusionfactory.store import Store
from fusionfactory.testing import make_table
from fusionfactory.trials import Heat
from fusionfactory.types import Query
from metered_endpoint import metered_endpoint
from metered_runs import calls_for, collect_by, settings_for
from stored_answers import TESTS, filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

SETTINGS = ScaleSection(workers=2)
PLACE = r"\(.+, process \d+\)"


@pytest.fixture(scope="module", autouse=True)
def sent_whole() -> Iterator[None]:
    """A node has none of the tests: so what they bring is sent with its code."""
    cloudpickle = pytest.importorskip("ray").cloudpickle
    here = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(here)
    yield
    cloudpickle.unregister_pickle_by_value(here)


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    logger = logging.getLogger("fusionfactory.scale")
    # Whatever other tests have left further up would print it.
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    caplog.set_level(logging.DEBUG, logger.name)
    return caplog


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def divide() -> None:
    _ = 1 // len("")


def met(meet: Callable[[], None], *, at_first: bool = False, parts: int = 2) -> Iterator[pa.Table]:
    """What comes of parts, over the second of which, or at the start, a worker meets something."""
    import pyarrow as pa

    class Worker:
        def __init__(self) -> None:
            if at_first:
                meet()

        def __call__(self, part: pa.Table) -> pa.Table:
            if part["n"].to_pylist() == [1]:
                meet()
            return part

    named = {f"part {n}": pa.table({"n": [n]}) for n in range(parts)}
    return mapped(named, Worker, {}, SETTINGS, doing="weighing")


def test_an_unforeseen_error_says_what_failed_where_and_why(
    ray_cluster: Any,  # noqa: ANN401
    log: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    said = rf"weighing part 1 failed {PLACE}: ZeroDivisionError: integer .*FUSIONFACTORY_LOG=debug"
    with pytest.raises(ClusterError, match=said) as caught:
        list(met(divide))
    assert caught.value.exit_code == 1
    assert "Traceback" not in str(caught.value)
    assert "in divide" in log.text
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(("at_first", "part", "tries"), [(False, 1, 2), (True, 0, 1)])
def test_a_part_that_ends_every_process_is_given_up(
    ray_cluster: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
    at_first: bool,
    part: int,
    tries: int,
) -> None:
    monkeypatch.setattr(tally, "MOST_TRIES", tries)
    said = f"weighing part {part} ended the process that did it {tries} times "
    with pytest.raises(ClusterError, match=said + r"\(" + "; ".join([r".+, process \d+"] * tries)):
        list(met(die, at_first=at_first, parts=part + 1))


def test_a_node_without_the_package_says_so(
    ray_cluster: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pyarrow as pa
    import ray

    class Only:
        pass

    module = ModuleType("only_here")
    monkeypatch.setitem(sys.modules, "only_here", module)
    monkeypatch.setattr(module, "Only", Only, raising=False)
    Only.__module__, Only.__qualname__ = "only_here", "Only"
    reference = ray.put(Only())
    hand = sent(Only)

    def asked() -> pa.Table:
        return hand(reference)(pa.table({"n": [1]}))

    said = r"the node .+ cannot take part: .*No module named 'only_here'; every node needs"
    with pytest.raises(ClusterError, match=said):
        result(ray.get(ray.remote(asked).remote()))


def test_a_trial_that_ends_every_process_is_given_up(
    ray_cluster: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Policy:
        def __getattr__(self, name: str) -> None:
            if not name.startswith("__"):
                die()
            raise AttributeError(name)

    policies: Any = (Policy(),)
    heat = Heat(make_table(60), 3, 0.2, policies, "hashing")
    monkeypatch.setattr(tally, "MOST_TRIES", 1)
    with pytest.raises(ClusterError, match="trying 'elo' on seed 3 ended the process that did it"):
        list(trials_on_ray([heat], ["elo"], Steps(None, 1), SETTINGS))


def lose_shards(folder: Path) -> None:
    for shards in folder.glob("fusionfactory-shards-*"):
        shutil.rmtree(shards)


def test_the_shard_of_answers_is_named(ray_cluster: Any, tmp_path: Path) -> None:  # noqa: ANN401
    store = filled(tmp_path / "runs.db", "import time\ntime.sleep(0.3)\n" + TESTS)
    settings = ScaleSection(workers=1, shard_rows=4)
    lost: list[bool] = []

    def mark(answers: Any) -> Any:  # noqa: ANN401  as `Marking`
        for batch in mark_on_ray(answers, settings, str(tmp_path)):
            if not lost:
                lost.append(True)
                lose_shards(tmp_path)
            yield batch

    said = rf"scoring answers \d+ to \d+, from that of '.' to '.+' on failed {PLACE}: FileNotFound"
    with pytest.raises(ClusterError, match=said):
        score_outcomes(store, mark=mark)
    assert sum(bool(outcome.scores) for outcome in store.outcomes()) > 1


def test_the_answer_is_named_where_it_is_known(tmp_path: Path) -> None:
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    query = asdict(Query("q7", "?", target="1", metric="number"))
    # No store holds an answer that is none, and no scorer expects it.
    row = {"arm": "m", "sample": 2, "response": None}
    row |= {f"query_{name}": value for name, value in query.items()}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "shard")
    worker = ScoringWorker(fsspec.filesystem("file"), 1)
    (found,) = worker(pa.table({"shard": [str(tmp_path / "shard")]})).to_pylist()
    said = rf"scoring that of 'm' to 'q7' \(sample 2\) failed {PLACE}: \w+Error: "
    with pytest.raises(ClusterError, match=said):
        raise raised(found["problem"])


def test_the_shard_of_calls_is_named_and_what_was_answered_is_kept(
    ray_cluster: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    with metered_endpoint() as meter, Store(tmp_path / "runs.db") as store:
        meter.latency_s = 0.05
        config = settings_for(meter, tmp_path, concurrency=1)
        calls = calls_for(config, [f"question {i}" for i in range(30)])
        said = (
            rf"making calls \d+ to \d+ failed {PLACE}: FileNotFoundError: .*from what was written"
        )
        with pytest.raises(ClusterError, match=said):
            collect_by("ray", config, store, calls, progress=lambda _: lose_shards(tmp_path))
        assert 0 < store.count() < 60


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left", "/x"), r"OSError: \[Errno 28\] No space left: '/x'; see to "),
        (ModuleNotFoundError("No module named 'x'"), "'x'; every node needs this version of the p"),
        (MemoryError(), "MemoryError; fewer `.scale. workers` leave more memory"),
        (ExceptionGroup("unhandled", [KeyError("x")]), "KeyError: 'x'; that is a bug, or a node"),
        (ValueError("a\n b" * 1000), r"ValueError: a b.{400,500}\.\.\.; that is a bug"),
    ],
)  # fmt: skip
def test_what_to_do_is_told_by_what_it_was(error: Exception, said: str) -> None:
    with pytest.raises(ClusterError, match=f"lifting failed {PLACE}: .*{said}"):
        raise raised(told(error, "lifting"))


def test_what_ray_raises_is_told_without_its_traceback(log: pytest.LogCaptureFixture) -> None:
    import ray.exceptions as of_ray

    def ours(error: Exception) -> FusionFactoryError:
        with pytest.raises(FusionFactoryError, match=r"\w") as caught, losses_told("lifting"):
            raise error
        return caught.value

    within = {"proctitle": "p", "pid": 7, "ip": "10.0.0.3"}
    task = of_ray.RayTaskError("f", "Traceback (most ...", KeyError("x"), **within)
    assert str(ours(task)).startswith("lifting failed (10.0.0.3, process 7): KeyError: 'x'; that")
    assert "RayTaskError" in log.text
    foreseen = TableError("too small", row=3)
    assert ours(of_ray.RayTaskError("f", "Traceback", foreseen, **within)) is foreseen
    unread = of_ray.RaySystemError(ModuleNotFoundError("No module named 'x'"), "Traceback")
    assert "ModuleNotFoundError: No module named 'x'; every node needs" in str(ours(unread))
    init = of_ray.RayActorError("a", "The actor died\nTraceback\nE: no", actor_init_failed=True)
    assert str(ours(init)).startswith("lifting failed: a worker cannot start: E: no; every node")
    died = str(ours(of_ray.ActorDiedError()))
    assert died.startswith("lifting failed: the cluster lost work for good (ActorDiedError: The a")


def test_a_worker_that_exits_is_told_of() -> None:
    import pyarrow as pa

    hand = Hand(None, "weighing", None)
    hand._worker = lambda _: sys.exit(3)
    with pytest.raises(ClusterError, match=f"weighing part 1 failed {PLACE}: SystemExit: 3; that"):
        result(hand(pa.table({"n": [1], NAME: ["part 1"]})))


def test_errors_of_ours_stay_what_they_are() -> None:
    error = TableError("too small", file="a.csv", row=3, field="llm")
    assert as_ours(error, "lifting") is error
    assert str(raised(told(error, "lifting"))) == str(error)


def test_a_piece_is_begun_so_often_without_an_end() -> None:
    count = Tally()
    assert [count.begin("a", f"p{n}", 3) for n in range(4)] == [None] * 3 + [["p0", "p1", "p2"]]
    assert count.begin("b", "p4", 3) is None
    count.end("a")
    assert count.begin("a", "p5", 3) is None


def test_the_log_is_shown_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("fusionfactory.scale")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)
    show_log(None)
    raised(told(KeyError("x"), "lifting"))
    assert capsys.readouterr().err == ""
    show_log("debug")
    raised(told(KeyError("x"), "lifting"))
    assert "\nKeyError: 'x'\n" in capsys.readouterr().err
    monkeypatch.setenv("FUSIONFACTORY_LOG", "loud")
    assert run("score") == 2
