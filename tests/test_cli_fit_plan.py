"""The command `fit --plan`: from a table to a folder that `serve` runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from answered_table import answered_table
from fusionfactory.plans import load_plan
from fusionfactory.plans.cascade import CascadePlan
from test_cli import Run, run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run"]

PLAN = 'cascade:stages=[["small-a","small-b"],["large"]]'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with tables."""
    monkeypatch.chdir(tmp_path)
    table = answered_table(160)
    table.write(tmp_path / "log.parquet")
    replace(table, responses=None).write(tmp_path / "scores.parquet")
    return tmp_path


def test_a_plan_is_fitted_measured_and_saved(run: Run, folder: Path) -> None:
    assert run("fit", "log.parquet", "--plan", PLAN, "--out", "plan", "--json") == 0
    facts = run.json()
    assert facts["plan"] == "cascade"
    assert facts["arms"] == ["small-a", "small-b", "large"]
    measured = facts["metrics"]
    assert 0 < measured["quality"] <= 1
    assert measured["cost_usd"] > 0
    assert 1 <= measured["calls"] <= 3
    assert measured["best_single_cost_usd"] == pytest.approx(1e-3)
    plan = load_plan("plan")
    assert isinstance(plan, CascadePlan)
    assert plan.metrics_ == measured


def test_a_policy_says_what_it_may_spend(run: Run, folder: Path) -> None:
    fitting = ("fit", "log.parquet", "--plan", PLAN, "--out", "plan", "--holdout", "0")
    assert run(*fitting, "--policy", "budget:0.1") == 0
    assert run.out.startswith("cascade saved in plan")
    plan = load_plan("plan")
    assert isinstance(plan, CascadePlan)
    assert plan.spend_usd_[plan.step_] <= 1e-4
    assert run(*fitting, "--policy", "budget:1e-6") == 2
    assert "costs at least" in run.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("log.parquet", "--plan", "sage"), "unknown plan 'sage'"),
        (("log.parquet", "--plan", PLAN, "--router", "knn"), "exclude each other"),
        (("scores.parquet", "--plan", PLAN), "the table holds no responses"),
    ],
)
def test_what_cannot_be_fitted_is_told(
    arguments: tuple[str, ...], message: str, run: Run, folder: Path
) -> None:
    assert run("fit", *arguments, "--out", "plan") == 2
    assert message in run.err


def test_a_folder_of_something_else_is_left_alone(run: Run, folder: Path) -> None:
    (folder / "notes").mkdir()
    (folder / "notes" / "todo.txt").write_text("x")
    assert run("fit", "log.parquet", "--plan", PLAN, "--out", "notes") == 2
    assert "holds something other than a plan" in run.err
