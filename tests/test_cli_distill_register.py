"""The command `distill register`: settings, command lines, JSON and routers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fusionfactory.config import read_config
from fusionfactory.routers import load_router, make_router, save_router
from fusionfactory.store import Store
from test_cli import Run, run
from test_distill_register import SETTINGS, folder, split_table, write_student

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["folder", "run"]

VERB = ["distill", "register", "students/best", "--name"]


@pytest.fixture
def student(folder: Path) -> Path:
    return write_student(folder / "students" / "best")


def test_it_adds_the_model_and_says_how_to_serve_it(run: Run, student: Path) -> None:
    assert run(*VERB, "small-best", "--description", "Good at [sums].") == 0
    assert "added to fusionfactory.toml" in run.out
    assert 'description = "Good at [sums]."' in run.out
    assert "llama-server -m students/best/student.gguf --alias small-best" in run.out
    assert read_config().models[-1].name == "small-best"
    assert run(*VERB, "small-best") == 2
    assert "have a model 'small-best' already" in run.err


def test_a_dry_run_changes_nothing(run: Run, folder: Path, student: Path) -> None:
    assert run(*VERB, "s", "--dry-run", "--json") == 0
    facts = run.json()
    assert facts["model"]["gguf"] == "students/best/student.gguf"
    assert (facts["added"], facts["joined"]) == (False, [])
    assert facts["serve"][0]["tool"] == "llama.cpp"
    assert (folder / "fusionfactory.toml").read_text(encoding="utf-8") == SETTINGS


def test_other_settings_are_written_to(run: Run, folder: Path, student: Path) -> None:
    (folder / "mine.toml").write_text("")
    assert run("--config", "mine.toml", *VERB, "s") == 0
    assert [model.name for model in read_config(folder / "mine.toml").models] == ["s"]
    assert (folder / "fusionfactory.toml").read_text(encoding="utf-8") == SETTINGS


def test_a_router_takes_it_once_it_is_scored(run: Run, folder: Path, student: Path) -> None:
    table = split_table()
    with Store(folder / "runs.db") as store:
        store.write_table(table)
    save_router(make_router("knn").fit(table.select_arms(["arm-0", "arm-1"])), folder / "router")
    told = ["--strategy", "direct", "--input-price", "1", "--output-price", "2"]
    assert run(*VERB, "arm-2", *told) == 0
    joining = ["--router", "router", "--out", "router2", "--store", "runs.db", "--labels", "30"]
    assert run(*VERB, "arm-2", *joining) == 0
    assert "arm-2 stands in fusionfactory.toml already" in run.out
    assert "router2: the router took arm-2 from 30 labels, mean quality 0." in run.out
    arm = load_router(folder / "router2").arms_[2]
    assert (arm.name, arm.input_price, arm.output_price) == ("arm-2", 1.0, 2.0)
    assert (arm.description or "").startswith("small fine-tuned on 100 answers")
    assert len(load_router(folder / "router").arms_) == 2


def test_settings_stay_where_a_router_cannot_take_it(run: Run, folder: Path, student: Path) -> None:
    table = split_table()
    with Store(folder / "runs.db") as store:
        store.write_table(table)
    save_router(make_router("ridge").fit(table.select_arms(["arm-0", "arm-1"])), folder / "router")
    told = ["--strategy", "direct", "--router", "router", "--out", "router2"]
    assert run(*VERB, "arm-2", *told, "--store", "runs.db", "--labels", "5") == 2
    assert "knn and graph can" in run.err
    assert not (folder / "router2").exists()
    assert (folder / "fusionfactory.toml").read_text(encoding="utf-8") == SETTINGS


def test_what_a_router_needs_is_said(run: Run, student: Path) -> None:
    assert run(*VERB, "s", "--router", "router") == 2
    assert "--router needs --out, and --store unless --labels is 0" in run.err
