"""The command `think evaluate`: from a store to terminal, JSON, report and gates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from fusionfactory.store import Store
from fusionfactory.table import OutcomeTable
from fusionfactory.thoughts.gating.gate import Gate
from gated_table import gated_table
from test_cli import Run, run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run"]

GAINS = {
    "format": (0, 0.05, 0.1, 0),
    "thought:3": (0.35, -0.3, 0.3, 0),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a store of one model and a table of two."""
    monkeypatch.chdir(tmp_path)
    one = gated_table(GAINS)
    with Store(tmp_path / "runs.db") as store:
        store.write_frame(one.to_long())
    other = gated_table({"thought:3": (0, 0, 0, 0)}, model="org/n", seed=1)
    both = OutcomeTable.from_long(pl.concat([one.to_long(), other.to_long()]))
    both.write(tmp_path / "both.parquet")
    return tmp_path


def test_help_shows_an_example(run: Run) -> None:
    assert run("think", "evaluate", "--help") == 0
    assert "Example: fusionfactory think evaluate --store" in run.out


def test_the_terminal_tells_rows_gates_and_claims(run: Run, folder: Path) -> None:
    assert run("think", "evaluate", "--store", "runs.db") == 0
    assert run.err == ""
    lines = [line.split() for line in run.out.splitlines()]
    for row in ("zero-shot", "format-only", "thought,", "gated", "gated-any"):
        assert any(line[:1] == [row] for line in lines)
    assert "gated uses " in run.out
    assert "thought, 3 on sums, texts" in run.out
    assert "gated is on no task below zero-shot by more than half a point" in run.out
    assert "gated is above format-only on average: +" in run.out


def test_json_and_reports_say_the_same(run: Run, folder: Path) -> None:
    assert run("think", "evaluate", "--store", "runs.db", "--json", "--html", "t.html") == 0
    content = run.json()
    assert content["kind"] == "thoughts"
    assert [row["name"] for row in content["models"][0]["rows"]] == [
        "direct", "format", "thought:3", "gated", "gated-any",
    ]  # fmt: skip
    assert "report: t.html" in run.err
    page = (folder / "t.html").read_text()
    (folder / "t.json").write_text(json.dumps(content))
    assert run("report", "t.json", "--out", "again.html") == 0
    assert (folder / "again.html").read_text() == page
    assert run("think", "evaluate", "--store", "runs.db", "--json", "file.json") == 0
    assert json.loads((folder / "file.json").read_text()) == content


def test_gates_are_saved_for_every_model(run: Run, folder: Path) -> None:
    assert run("think", "evaluate", "--store", "both.parquet", "--gates", "gates") == 0
    assert {path.name for path in (folder / "gates").iterdir()} == {
        "m.gated.json", "m.gated-any.json", "org_n.gated.json", "org_n.gated-any.json",
    }  # fmt: skip
    gate = Gate.load(folder / "gates" / "m.gated.json")
    assert gate.decide(["sums", "facts"]) == ["thought:3", "direct"]
    assert "org/n: 400 test queries" in run.out


def test_one_model_of_two(run: Run, folder: Path) -> None:
    assert run("think", "evaluate", "--store", "both.parquet", "--model", "org/n", "--json") == 0
    assert [model["model"] for model in run.json()["models"]] == ["org/n"]


def test_the_settings_name_the_store(run: Run, folder: Path) -> None:
    (folder / "fusionfactory.toml").write_text('store = "runs.db"\n')
    assert run("think", "evaluate") == 0
    assert "m: 400 test queries" in run.out


def test_a_report_holds_both_comparisons(run: Run, folder: Path) -> None:
    assert run("think", "evaluate", "--store", "both.parquet", "--json", "t.json") == 0
    assert run("evaluate", "both.parquet", "--router", "elo", "--scenario", "performance",
               "--json", "e.json") == 0  # fmt: skip
    assert run("report", "e.json", "--thoughts", "t.json", "--out", "both.html") == 0
    page = (folder / "both.html").read_text()
    assert "<h2>Leaderboard</h2>" in page
    assert "<h2>Thought templates: m</h2>" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["think", "evaluate"], "Missing option '--store'"),
        (["think", "evaluate", "--store", "no.db"], "no.db: no such file"),
        (["think", "evaluate", "--store", "runs.db", "--html", "x.pdf"], "no report form has"),
        (["think", "evaluate", "--store", "runs.db", "--model", "x"], "no model 'x'"),
        (["think", "evaluate", "--store", "runs.db", "--test-split", "dev"], "the split 'dev'"),
        (["think", "evaluate", "--store", "runs.db", "--test-split", "train"], "gates learn on"),
        (["think", "evaluate", "--store", "runs.db", "--risk", "1"], "not in the range 0<x<1"),
        (["think", "evaluate", "--store", "runs.db", "--bank", "none"], "no such file"),
        (["report", "e.json", "--thoughts", "none.json"], "none.json: no such file"),
        (["report", "t.json", "--thoughts", "e.json"], "--thoughts adds to an evaluation of"),
    ],
)
def test_wrong_use_exits_2_and_writes_nothing(
    run: Run, folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "e.json").write_text("{}")
    (folder / "t.json").write_text('{"kind": "thoughts"}')
    before = {path.name for path in folder.iterdir()}
    assert run(*arguments) == 2
    assert message in run.err
    assert {path.name for path in folder.iterdir()} == before
