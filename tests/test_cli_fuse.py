"""The command `fuse`: from a table to terminal, JSON and report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from fused_table import STUDENT, fused_table
from fusionfactory.table import OutcomeTable
from test_cli import Run, run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run"]

QUICK = ("--router", "ridge", "--plan", "none", "--student", STUDENT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a table."""
    monkeypatch.chdir(tmp_path)
    fused_table(40).write(tmp_path / "log.parquet")
    fused_table(40, responses=False).write(tmp_path / "scores.parquet")
    return tmp_path


def test_help_shows_an_example(run: Run) -> None:
    assert run("fuse", "--help") == 0
    assert "Example: fusionfactory fuse log.parquet" in run.out


def test_the_terminal_tells_levels_domains_and_claims(run: Run, folder: Path) -> None:
    assert run("fuse", "log.parquet", *QUICK) == 0
    assert run.err == ""
    lines = [line.strip() for line in run.out.splitlines()]
    for row in ("Best single arm", "Direct", "Think", "Thought level", "Model level", "Query level",
                "Best level per task", "Fused choice"):  # fmt: skip
        assert sum(line.startswith(f"{row}  ") for line in lines) == 2  # overall, and by domain
    assert any(line.split() == ["row", "math", "language"] for line in lines)
    assert re.search(r"Fused choice is .* the best single arm: \+", run.out)
    assert "Plans are left out: none was asked for." in run.out
    assert "small|thought:3  " not in run.out  # lone arms are in the JSON


def test_json_and_reports_say_the_same(run: Run, folder: Path) -> None:
    assert run("fuse", "log.parquet", *QUICK, "--json", "--html", "f.html") == 0
    content = run.json()
    assert {"table", "scenarios", "skipped", "details", "fusion"} == set(content)
    rows = {row["router"]: row for row in content["scenarios"]["performance"]}
    assert rows["small|thought:3"]["kind"] == "arm"
    assert len(rows["fused"]["ci95"]) == 2
    assert "report: f.html" in run.err
    page = (folder / "f.html").read_text()
    assert "Levels side by side" in page
    (folder / "f.json").write_text(json.dumps(content))
    assert run("report", "f.json", "--out", "again.html") == 0
    assert (folder / "again.html").read_text() == page


def test_only_the_named_arms_take_part(run: Run, folder: Path) -> None:
    arms = ("--arms", "small", "--arms", "big|think")
    assert run("fuse", "log.parquet", "--router", "ridge", "--plan", "none", *arms, "--json") == 0
    kinds = [row["kind"] for row in run.json()["scenarios"]["performance"]]
    assert kinds.count("arm") == 2


def test_a_table_without_responses_has_no_plans_and_it_is_said(run: Run, folder: Path) -> None:
    assert run("fuse", "scores.parquet", "--router", "ridge", "--plan", "cascade") == 0
    assert "Plans are left out: the table has no responses" in run.out


def test_robustness_is_told_on_the_terminal_in_json_and_in_the_report(
    run: Run, folder: Path
) -> None:
    assert run("fuse", "log.parquet", *QUICK, "--robustness", "--html", "f.md", "--json") == 0
    assert run.json()["robustness"]["routers"][0]["router"] == "fused"
    assert "How steady decisions are" in (folder / "f.md").read_text()
    assert "Oracle, corrected for noise" in run.err


def test_evaluate_leaves_out_tasks_and_arms_and_examines_routers(run: Run, folder: Path) -> None:
    options = ("--leave-out", "task", "--leave-out", "arm", "--labels", "20", "--robustness")
    few = ("--router", "ridge", "--scenario", "performance")
    assert run("evaluate", "scores.parquet", *few, *options, "--json", "--html", "e.html") == 0
    content = run.json()
    assert set(content["left_out"]) == {"task", "arm"}
    assert content["left_out"]["arm"]["labels"] == [20]
    assert len(content["left_out"]["arm"]["routers"][0]["rows"]) == 6
    assert "ridge on left-out tasks" in run.err
    assert "ridge with left-out arms" in (folder / "e.html").read_text()


def test_a_router_that_can_take_no_arm_is_refused_before_anything_is_fitted(
    run: Run, folder: Path
) -> None:
    arguments = ("--router", "ridge,knn-paper", "--leave-out", "arm")
    assert run("evaluate", "scores.parquet", *arguments) == 2
    assert "'knn-paper' learns one policy's labels and can take no arm" in run.err


def test_missing_domains_are_told_before_arms_are_left_out(run: Run, folder: Path) -> None:
    table = OutcomeTable.read(folder / "scores.parquet")
    bare = replace(table, queries=table.queries.with_columns(domain=pl.lit(None, pl.String)))
    bare.write(folder / "bare.parquet")
    arguments = ("--router", "knn-paper", "--leave-out", "arm", "--leave-out", "domain")
    assert run("evaluate", "bare.parquet", *arguments) == 2
    assert "bare.parquet, field 'domain': needs at least two domains" in run.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.parquet",), "no such file"),
        (("log.parquet", "--arms", "nobody"), "unknown arm 'nobody'"),
        (("log.parquet", "--plan", "magic"), "unknown plan 'magic'"),
        (("log.parquet", "--router", "magic"), "unknown router 'magic'"),
        (("log.parquet", "--student", "nobody"), "no arm is of the student 'nobody'"),
        (("log.parquet", "--scenario", "magic"), "unknown policy 'magic'"),
        (("log.parquet", "--html", "page.pdf"), "no report form has the suffix '.pdf'"),
    ],
)
def test_wrong_use_exits_with_two(
    run: Run, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert run("fuse", *arguments) == 2
    assert message in run.err
    assert not (folder / "page.pdf").exists()
