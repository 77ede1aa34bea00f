"""A plan with a judge among the levels: the judge is no arm of the table."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from answered_table import answered_table
from fusionfactory.fuse import fuse
from fusionfactory.plans.select import SelectPlan
from test_plans_select import SMALL, collected

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.fuse import Fusion
    from fusionfactory.table import OutcomeTable

QUICK: dict[str, Any] = {"router": "ridge", "draws": 50, "folds": 2}


def spec_of(log: Path, *more: str) -> str:
    names = json.dumps(SMALL)
    return ",".join([f"select:judge=judge,log={log},candidates={names}", *more])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "verdicts.db"


def fused(log: Path, table: OutcomeTable, *more: str, plans: tuple[str, ...] = ()) -> Fusion:
    """After the verdicts on the whole table are collected."""
    plan = SelectPlan(judge="judge", candidates=SMALL, log=str(log), synthesis=bool(more))
    collected(log, plan, table)
    return fuse(table, plans=(*plans, spec_of(log, *more)), **QUICK)


def row(found: Fusion, name: str) -> dict[str, Any]:
    rows = found.to_json()["scenarios"]["performance"]
    return next(row for row in rows if row["router"] == name)


def test_a_judge_that_is_no_arm_takes_part(log: Path) -> None:
    table = answered_table(160, seed=1)
    found = fused(log, table)
    mine = row(found, "plan:select")
    best = max(row(found, name)["quality"] for name in SMALL)
    assert mine["quality"] > best + 0.05
    assert mine["cost_usd"] > sum(row(found, name)["cost_usd"] for name in SMALL)
    shares = found.details["shares"]["plan:select"]
    assert sum(map(sum, shares)) == found.table["test_queries"]
    (told,) = found.fusion["plans"]
    assert any("Asks judge on" in words for words in told["words"])
    assert told["words"][-1] == f"Made by {spec_of(log)}."


def test_what_a_judge_writes_is_the_answer_of_no_arm(log: Path) -> None:
    found = fused(log, answered_table(160, seed=2), "synthesis=true")
    given = sum(map(sum, found.details["shares"]["plan:select"]))
    assert 0 < given < found.table["test_queries"]
    assert 0 < row(found, "plan:select")["top_share"] < 1


def test_free_text_is_left_to_plans_that_read_it(log: Path) -> None:
    table = answered_table(160, seed=3)
    queries = table.queries.with_columns(pl.lit(None, pl.String).alias("metric"))
    found = fused(log, replace(table, queries=queries), plans=("vote",))
    assert found.fusion["plans_left_out"] is None
    assert [note.split(":")[0] for note in found.fusion["plan_notes"]] == ["vote is left out"]
    assert row(found, "plan:select")["kind"] == "plan"
