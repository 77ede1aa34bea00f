"""Fitting and evaluating on a folder comes to what the same does on a file."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from command_line import run
from fusionfactory.cli.large_source import is_large
from fusionfactory.contest import Contest, baseline_entries
from fusionfactory.encoders.hashing import HashingEncoder
from fusionfactory.errors import PolicyError, TableError
from fusionfactory.intervals import Bootstrap
from fusionfactory.large import LargeTable, gather, write_partitioned
from fusionfactory.leaderboard import leaderboard
from fusionfactory.policy import Normaliser, Policy
from fusionfactory.report import write_report
from fusionfactory.routers import load_router, make_router
from fusionfactory.streamed import Training, evaluate_large, fit_large
from fusionfactory.streamed import held as held_side
from fusionfactory.streamed.held import Held, buckets
from fusionfactory.testing import make_table
from fusionfactory.trial import run_router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

EXACT = ("elo", "task", "clusters")
"""Routers that come out equal but for rounding."""


class Counting(HashingEncoder):
    """Counts the texts that it was asked for."""

    def __init__(self, *, dim: int = 16) -> None:
        super().__init__(dim=dim)
        self.asked = 0

    def encode(self, texts: Sequence[str]) -> FloatArray:
        self.asked += len(texts)
        return super().encode(texts)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gathered tables and scratch files of these tests."""
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table in several files, some queries twice but for punctuation."""
    table = make_table(500, 4, missing=0.05)
    twins = table.rows(np.arange(40))
    queries = twins.queries.with_columns(
        pl.col("query") + "!", query_id=pl.col("query_id") + "-again"
    )
    path = tmp_path_factory.mktemp("tables") / "folder"
    write_partitioned([table, replace(twins, queries=queries)], path, file_rows=700)
    return path


@pytest.fixture(scope="module")
def large(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> LargeTable:
    return LargeTable.gather(folder, tmp_path_factory.mktemp("gathered") / "table")


@pytest.fixture(scope="module")
def training(large: LargeTable, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Whose sample holds every training query."""
    return Training.of(large.split(seed=0).train, tmp_path_factory.mktemp("training"))


@pytest.mark.parametrize("policy", ["balance", "judge"])
def test_rows_are_those_of_the_same_split_in_memory(large: LargeTable, policy: str) -> None:
    found = evaluate_large(large, EXACT, scenarios=[policy], draws=200)
    split = large.split(seed=0)
    train, test = (side.sample(10_000) for side in (split.train, split.test))
    if policy == "judge":
        train, test = train.judged(), test.judged()
    wanted = in_memory(train, test, Policy.parse(policy))
    timed = {"fit_s", "route_us_per_query", "decide_p50_ms"}
    curves = {"aiq", "pareto_dist", "cost_save", "cost_save_1pt", "perf_gain"}
    got = {row["router"]: row for row in found.scenarios[policy]}
    assert got.keys() == {row["router"] for row in wanted}
    for row in wanted:
        for key in row.keys() - timed:
            # Curves go by expected costs, whose penalty is chosen by another criterion.
            near = 0.02 if key in curves else 1e-6
            assert got[row["router"]][key] == pytest.approx(row[key], abs=near, nan_ok=True), key


def in_memory(train: OutcomeTable, test: OutcomeTable, policy: Policy) -> list[dict[str, Any]]:
    """The leaderboard of `EXACT` by the routers' own `fit`."""
    held = Held(test, len(test), Path())
    count, rows = buckets([held])
    contest = Contest(
        0, train, test, rows[0], Normaliser().fit(train), train.best_single(), train.cheapest()
    )
    contest.entries.update(baseline_entries(contest, [policy]))
    for name in EXACT:
        router = make_router(name)
        router.fit(train)
        contest.entries[name] = run_router(router, contest, [policy], router.encode(test.texts))
    return leaderboard([contest], policy, Bootstrap(np.arange(count), 200))


def test_no_query_is_on_both_sides_and_the_facts_are_those_of_the_table(large: LargeTable) -> None:
    found = evaluate_large(large, ["task", "knn"], scenarios=["performance"], seeds=2, sample=100)
    facts, whole = found.table, large.collect()
    assert facts["queries_in_train_and_test"] == 0
    assert facts["near_duplicate_queries"] == 40
    assert facts["queries"] == len(whole) == 540
    assert facts["train_queries"] + facts["test_queries"] == 540
    assert facts["coverage"] == pytest.approx(whole.coverage())
    assert facts["observed_share"] == pytest.approx(whole.observed().mean())
    assert facts["fingerprint"] == whole.fingerprint()
    assert facts["streamed"]["fits_from"] == {"task": "statistics", "knn": "sample"}
    assert facts["streamed"]["sample_queries"] == 100
    tasks = {part["name"]: part["queries"] for part in found.details["tasks"]}
    assert tasks == {name: (whole.tasks == name).sum() for name in set(whole.tasks.tolist())}
    rows = {row["router"]: row for row in found.scenarios["performance"]}
    assert len(rows["task"]["quality_seeds"]) == 2
    assert rows["task"]["gain"] > 0.1


def test_a_larger_test_side_than_fits_is_drawn_from_and_that_is_told(
    large: LargeTable, tmp_path: Path
) -> None:
    found = evaluate_large(large, ["task", "svm"], scenarios=["performance"], cells=400, sample=90)
    facts = found.table
    assert facts["test_queries"] == 100
    assert facts["streamed"]["held_out_queries"] > 100
    write_report(found.to_json(), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert f"Tested on 100 of {facts['streamed']['held_out_queries']} held-out queries" in page
    assert f"task learned from statistics over all {facts['train_queries']} training" in page
    assert "svm cannot learn from statistics" in page
    assert "a random sample of 90 of them" in page


def test_a_router_from_a_sample_learns_the_sample_alone(large: LargeTable, tmp_path: Path) -> None:
    training = Training.of(large, tmp_path, queries=70)
    router = make_router("knn", encoder="hashing:64")
    assert fit_large(router, training) == "sample"
    assert len(router.seen_) == 70
    assert fit_large(make_router("svm:recipe=paper"), training, Policy.parse("cost")) == "sample"
    ridge = make_router("ridge", encoder="hashing:64")
    assert fit_large(ridge, training) == "statistics"
    assert len(ridge.seen_) == len(large)


def test_queries_are_encoded_once_for_all_routers(training: Training) -> None:
    counting = Counting(dim=16)
    for name in ("ridge", "clusters", "task"):
        fit_large(make_router(name, encoder=counting), training)
    queries = len(training.table)
    assert queries < counting.asked <= queries + len(training.sample)


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    peaks = []
    for number, queries in enumerate((200, 200, 1000)):
        write_partitioned(make_table(queries, 20), tmp_path / f"{number}")
        gathered = gather(tmp_path / f"{number}", tmp_path / f"{number}-read", part_bytes=300_000)
        side = Training.of(LargeTable.open(gathered), tmp_path / f"{number}-rows", queries=100)
        side = replace(side, block_queries=64)
        assert len(side.fingerprint) == 64
        tracemalloc.start()
        fit_large(make_router("ridge", encoder="hashing:16"), side)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The first fit also pays for imports.
    numbers = 4 * 8 * 20 * (1000 - 200)
    assert peaks[2] - peaks[1] < 0.4 * numbers


def test_buckets_are_groups_until_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = [Held(make_table(60, 2, seed=seed), 60, Path()) for seed in (0, 1)]
    count, (one, other) = buckets(sides)
    assert count == 120
    assert sorted([*one.tolist(), *other.tolist()]) == list(range(120))
    monkeypatch.setattr(held_side, "BUCKETS", 10)
    count, (few, _) = buckets(sides)
    assert count == 10
    assert set(few.tolist()) <= set(range(10))
    assert buckets([sides[0], sides[0]])[1][0].tolist() == few.tolist()


def test_a_split_fills_all_buckets(monkeypatch: pytest.MonkeyPatch, large: LargeTable) -> None:
    monkeypatch.setattr(held_side, "BUCKETS", 10)
    for seed in (0, 1):
        test = large.split(seed=seed).test
        _, (bucket,) = buckets([Held.of(test, Path())])
        assert set(bucket.tolist()) == set(range(10))


def test_what_cannot_be_evaluated_is_refused(large: LargeTable) -> None:
    with pytest.raises(PolicyError, match="at least one seed"):
        evaluate_large(large, ["task"], seeds=0)
    with pytest.raises(TableError, match="only one arm"):
        evaluate_large(large.select_arms(["arm-0"]), ["task"])
    with pytest.raises(TableError, match="no arm is scored on 100%"):
        evaluate_large(large, ["task"], min_coverage=1.0)


def test_arms_with_too_few_scores_are_left_out(large: LargeTable) -> None:
    least = min(large.sums.coverage().values())
    found = evaluate_large(
        large, ["task"], scenarios=["performance", "judge"], min_coverage=least + 1e-9
    )
    (name,) = found.table["arms_left_out"]
    assert found.table["arms_left_out"][name] == pytest.approx(least)
    assert name not in {arm["name"] for arm in found.details["arms"]}


def test_scratch_files_are_gone_afterwards(
    large: LargeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path))
    evaluate_large(large, ["task"], scenarios=["performance"])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_evaluate_takes_a_folder(folder: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "found.json", tmp_path / "report.html"
    arguments = ("evaluate", str(folder), "--router", "task,ridge", "--scenario", "performance")
    assert run(*arguments, "--sample", "200", "--json", str(out), "--html", str(page)) == 0
    content = json.loads(out.read_text())
    rows = {row["router"]: row for row in content["scenarios"]["performance"]}
    assert rows["task"]["ci95"][0] > 0
    assert content["table"]["streamed"]["sample_queries"] == 200
    assert "task, ridge learned from statistics" in page.read_text()


def test_fit_takes_a_folder(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit.json"
    arguments = ("fit", str(folder), "--router", "clusters", "--out", str(tmp_path / "router"))
    assert run(*arguments, "--json", str(out)) == 0
    content = json.loads(out.read_text())
    assert content["fits_from"] == "statistics"
    assert content["queries"] == 540
    assert content["metrics"]["quality"] > 0.5
    router = load_router(tmp_path / "router")
    assert router.decide(["add 12 and 37"])[0].arm in content["arms"]
    sampled = ("--router", "knn", "--sample", "50", "--holdout", "0", "--json", str(out))
    assert run("fit", str(folder), "--out", str(tmp_path / "other"), *sampled) == 0
    content = json.loads(out.read_text())
    assert (content["fits_from"], content["sample_queries"]) == ("sample", 50)
    assert content["metrics"] == {}


@pytest.mark.parametrize(
    "options", [["--robustness"], ["--leave-out", "task"], ["--engine", "ray"]]
)
def test_what_needs_the_table_in_memory_is_refused(
    folder: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", str(folder), *options) == 2
    assert f"{options[0]} needs the table in memory" in capsys.readouterr().err


def test_the_engine_of_the_settings_is_not_asked_for(folder: Path, tmp_path: Path) -> None:
    settings, out = tmp_path / "settings.toml", tmp_path / "found.json"
    settings.write_text('[scale]\nengine = "ray"\n', encoding="utf-8")
    arguments = ("--router", "task", "--scenario", "performance", "--json", str(out))
    assert run("--config", str(settings), "evaluate", str(folder), *arguments) == 0
    assert json.loads(out.read_text())["table"]["streamed"]["fits_from"] == {"task": "statistics"}


@pytest.mark.parametrize("verb", [("evaluate",), ("fit", "--out", "router")])
def test_a_table_that_is_read_whole_has_no_sample(
    folder: Path, verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    file = next(folder.glob("*.parquet"))
    assert run(*verb, str(file), "--sample", "5") == 2
    assert "--sample is for a table on disk" in capsys.readouterr().err


def test_a_plan_is_not_fitted_on_a_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", str(folder), "--plan", "cascade", "--out", str(tmp_path / "plan")) == 2
    assert "--plan needs the table in memory" in capsys.readouterr().err


def test_which_sources_are_read_from_disk(folder: Path, tmp_path: Path) -> None:
    assert is_large(str(folder))
    assert is_large(f"{folder}/part-*.parquet")
    assert is_large("s3://bucket/outcomes")
    assert not is_large(str(folder), "fusionbench")
    assert not is_large(str(next(folder.glob("*.parquet"))))
    assert not is_large("postgresql://user@host/db")
    assert not is_large("sqlite:///runs.db")
    assert not is_large(str(tmp_path))
    assert not is_large(str(tmp_path / "missing.parquet"))
