"""`score --engine ray`: the same scores as here, once each, whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from command_line import facts, run
from fusionfactory.config import ScaleSection
from fusionfactory.errors import ConfigError, TaskError
from fusionfactory.scale.scoring import mark_on_ray
from fusionfactory.scale.shards import laid_out, shards_place
from fusionfactory.scoring import Scored, score_outcomes
from fusionfactory.types import Outcome, Query
from ray_cluster import NODE, processes
from stored_answers import TESTS, filled

if TYPE_CHECKING:
    from fusionfactory.scoring import Marking
    from fusionfactory.store import Store

pytestmark = pytest.mark.usefixtures("ray_cluster")

SETTINGS = ScaleSection(workers=2, shard_rows=4)
SLOW = "import time\ntime.sleep(0.3)\n" + TESTS


def on_ray(folder: Path) -> Marking:
    return lambda answers: mark_on_ray(answers, SETTINGS, str(folder))


def rows(store: Store) -> list[Outcome]:
    return list(store.outcomes())


def test_scores_are_those_of_this_process_row_for_row(tmp_path: Path) -> None:
    here, there = filled(tmp_path / "here.db"), filled(tmp_path / "there.db")
    local = score_outcomes(here)
    assert score_outcomes(there, mark=on_ray(tmp_path)) == local
    assert local == Scored(scored=60, kept=1, failed=1, judge_only=1, no_metric=1)
    assert rows(there) == rows(here)
    assert {s.value for o in rows(there) for s in o.scores if o.query_id[0] == "c"} == {0.0, 1.0}
    assert not list(tmp_path.glob("fusionfactory-shards-*"))


def test_the_next_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    store = filled(tmp_path / "runs.db", answers=2)
    score_outcomes(store, mark=on_ray(tmp_path))
    assert score_outcomes(store, mark=on_ray(tmp_path)).scored == 0


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    store = filled(tmp_path / "runs.db")

    def stop(_: Scored) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_outcomes(store, mark=on_ray(tmp_path), progress=stop)
    assert not list(tmp_path.glob("fusionfactory-shards-*"))
    done = sum(bool(outcome.scores) for outcome in rows(store)) - 1
    assert 0 < done < 60
    assert score_outcomes(store, mark=on_ray(tmp_path)).scored == 60 - done


def test_a_killed_worker_loses_nothing_and_scores_nothing_twice(tmp_path: Path) -> None:
    here = filled(tmp_path / "here.db", SLOW)
    there = filled(tmp_path / "there.db", SLOW)
    given: list[tuple[str, str, int]] = []
    killed: list[int] = []

    def mark(answers: Any) -> Any:  # noqa: ANN401  as `Marking`
        for batch in mark_on_ray(answers, SETTINGS, str(tmp_path)):
            if not killed:
                killed.append(processes("ray::MapWorker")[0])
                os.kill(killed[0], signal.SIGKILL)
            given.extend(key for key, _ in batch)
            yield batch

    assert score_outcomes(there, mark=mark) == score_outcomes(here)
    assert len(given) == len(set(given)) == 60
    assert rows(there) == rows(here)


def test_a_node_that_goes_loses_nothing(tmp_path: Path, ray_cluster: Any) -> None:  # noqa: ANN401
    here = filled(tmp_path / "here.db", SLOW)
    there = filled(tmp_path / "there.db", SLOW)
    node = [ray_cluster.add_node(**NODE)]

    def mark(answers: Any) -> Any:  # noqa: ANN401  as `Marking`
        settings = ScaleSection(workers=6, shard_rows=4)
        for batch in mark_on_ray(answers, settings, str(tmp_path)):
            if node:
                ray_cluster.remove_node(node.pop(), allow_graceful=False)
            yield batch

    assert score_outcomes(there, mark=mark) == score_outcomes(here)
    assert rows(there) == rows(here)


def test_what_a_scorer_raises_on_a_worker_is_raised_here(tmp_path: Path) -> None:
    store = filled(tmp_path / "runs.db", answers=2)
    store.add_queries([Query("e", "?", task="x", metric="number")])
    store.append([Outcome("e", "m", response="1")])
    with pytest.raises(TaskError, match="field 'target': query 'e' has no target") as caught:
        score_outcomes(store, mark=on_ray(tmp_path))
    assert caught.value.field == "target"
    assert caught.value.exit_code == 2


def test_the_verb_scores_on_the_cluster_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "runs.db", answers=2).close()
    settings = '[scale]\nengine = "ray"\nworkers = 2\n'
    (tmp_path / "fusionfactory.toml").write_text(settings, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run("score", "--store", "runs.db", "--json", "scored.json") == 0
    assert facts("scored.json")["scored"] == 10


def test_shards_go_to_any_file_system(tmp_path: Path) -> None:
    import pyarrow as pa

    schema = pa.schema([("n", pa.int64())])
    with laid_out(({"n": i} for i in range(5)), schema, f"file://{tmp_path}/new", 2) as shards:
        assert (len(shards.paths), shards.rows) == (3, 5)
        assert all(Path(path).is_file() for path in shards.paths)
    assert not list((tmp_path / "new").iterdir())
    with (
        pytest.raises(ConfigError, match="'teleport://x' cannot be written to: "),
        laid_out(iter(()), schema, "teleport://x", 2),
    ):
        pass


def test_shards_lie_beside_the_store_or_where_the_settings_say(tmp_path: Path) -> None:
    assert shards_place(SETTINGS, str(tmp_path / "runs.db")) == str(tmp_path)
    assert shards_place(SETTINGS, f"sqlite:///{tmp_path}/runs.db") == str(tmp_path)
    assert shards_place(SETTINGS, "postgresql://host/runs") == str(Path.cwd())
    named = ScaleSection(shards="s3://bucket/folder")
    assert shards_place(named, "runs.db") == "s3://bucket/folder"
