"""The command `onboard`: a saved router, a few outcomes of a new arm, and a wider router."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.routers import load_router, make_router, save_router
from fusionfactory.testing import make_table
from test_cli import Run, names, run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run"]

TABLE = make_table(240, 3, seed=2)
OLD, NEW = TABLE.arm_names[:2], TABLE.arm_names[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a router of two arms and outcomes of a third."""
    monkeypatch.chdir(tmp_path)
    save_router(make_router("ridge").fit(TABLE.select_arms(OLD)), tmp_path / "router")
    TABLE.rows(np.arange(100)).write(tmp_path / "few.parquet")
    TABLE.write(tmp_path / "log.parquet")
    return tmp_path


def test_a_few_outcomes_make_a_router_with_one_more_arm(run: Run, folder: Path) -> None:
    assert run("onboard", "router", "few.parquet", "--arm", NEW, "--out", "wider", "--json") == 0
    found = run.json()
    assert found["arms"] == [*OLD, NEW]
    level = float(TABLE.quality[:, 2].mean())
    assert found["expected_quality"] == pytest.approx(level, abs=0.1)
    assert 0 < found["doubt"] < 0.09
    wider = load_router(folder / "wider")
    assert NEW in {decision.arm for decision in wider.decide(TABLE.texts)}
    assert wider.arms_[2].input_price == TABLE.arms[2].input_price
    assert [arm.name for arm in load_router(folder / "router").arms_] == list(OLD)
    assert run("test", "wider", "log.parquet", "--policy", "performance") in {0, 2}


def test_a_wider_router_takes_another_arm(run: Run, folder: Path) -> None:
    assert run("onboard", "router", "few.parquet", "--arm", NEW, "--out", "wider") == 0
    assert "saved in wider" in run.out
    more = ("--arm", "more|think", "--published", "all=0.9", "--input-price", "3")
    assert run("onboard", "wider", *more, "--output-price", "9", "--out", "widest") == 0
    assert "more|think: expected quality 0.8" in run.out
    arm = load_router(folder / "widest").arms_[-1]
    assert (arm.name, arm.input_price, arm.output_price) == ("more|think", 3.0, 9.0)


def test_it_says_which_questions_to_ask(run: Run, folder: Path) -> None:
    assert run("onboard", "router", "log.parquet", "--choose", "30", "--questions", "q.jsonl") == 0
    assert "30 questions for the new arm in q.jsonl" in run.out
    rows = [json.loads(line) for line in (folder / "q.jsonl").read_text().splitlines()]
    texts = dict(zip(TABLE.queries["query_id"], TABLE.texts, strict=True))
    assert len({row["query_id"] for row in rows}) == 30
    assert all(texts[row["query_id"]] == row["query"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["few.parquet", "--out", "x"], "--arm NAME and --out DIR are missing"),
        (["--choose", "5", "--questions", "q"], "--choose needs TABLE to choose from"),
        (["few.parquet", "--choose", "5"], "--questions FILE to write to"),
        (["few.parquet", "--questions", "q"], "--questions goes with --choose N"),
        (
            ["few.parquet", "--choose", "5", "--questions", "q", "--arm", "a"],
            "--choose adds nothing",
        ),
        (
            ["few.parquet", "--arm", "gone", "--out", "x"],
            "few.parquet, field 'arms': unknown arm 'gone'",
        ),
        (["few.parquet", "--arm", OLD[0], "--out", "x"], f"the router already knows '{OLD[0]}'"),
        (["--arm", "a", "--out", "x", "--published", "gsm8k"], "'gsm8k' is no TASK=SCORE"),
        (["--arm", "a", "--out", "x", "--published", "=0.5"], "'=0.5' is no TASK=SCORE"),
        (["--arm", "a", "--out", "x", "--published", "fly=0.5"], "no task 'fly'"),
        (["--arm", "a", "--out", "x", "--published", "all=50"], "must be in [0, 1], got 50.0"),
        (["--arm", "a", "--out", "router/../.."], "holds something other than a router"),
    ],
)
def test_wrong_use_writes_nothing(
    run: Run, folder: Path, arguments: list[str], message: str
) -> None:
    before = names(folder)
    assert run("onboard", "router", *arguments) == 2
    assert message in run.err
    assert names(folder) == before
