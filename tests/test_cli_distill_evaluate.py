"""The command `distill evaluate`: from a store to terminal, JSON, report and exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from fusionfactory.distill import Example, Message, Selection
from fusionfactory.distill.training.record import BaseRecord, DataRecord, Files, StudentRecord
from fusionfactory.store import Store
from student_table import student_table
from test_cli import Run, run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run"]

VERB = ["distill", "evaluate", "--store", "runs.db", "--before", "small"]
BEST = ["--student", "small-best"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a store whose answers of one arm were all cut off on a task."""
    monkeypatch.chdir(tmp_path)
    cut = pl.when((pl.col("arm") == "small-best") & (pl.col("task") == "sums"))
    table = student_table()
    with Store(tmp_path / "runs.db") as store:
        store.write_frame(
            table.to_long().with_columns(
                finish_reason=cut.then(pl.lit("length")).otherwise(pl.lit("stop"))
            )
        )
    table.write(tmp_path / "table.parquet")
    return tmp_path


def student(folder: Path, selection: Selection) -> None:
    """Writes the record of a student of a selection."""
    folder.mkdir(parents=True)
    StudentRecord(
        version="0",
        base=BaseRecord(path="small.gguf", name="small", sha256=None, parameters=1000),
        data=DataRecord(
            fingerprint=selection.fingerprint(), criterion="best", examples=1, validation=0,
            too_long=0, sources={"large": 1}, tasks={"sums": 1},
        ),
        method="sft",
        settings={"rank": 16, "targets": ["q_proj"]},
        steps=20, epochs=2.0, tokens=500, trainable=10,
        losses=[(10, 1.5), (20, 0.25)], validation=[(0, 2.0), (20, 0.5)],
        seconds=60.0, device="cpu", dtype="float32", packages={}, files=Files(adapter="adapter"),
    ).save(folder)  # fmt: skip


def selection() -> Selection:
    example = Example(
        query_id="q1", prompt=(Message(role="user", content="1+1?"),), response="2", arm="large"
    )
    report = {
        "questions": {"asked": 9, "covered": 1, "uncovered": 8},
        "arms": [{"arm": "large", "answers": 7, "taken": 1}],
        "lengths": {"max": 1.0},
        "rejected": {"not right": 6},
    }
    return Selection((example,), (), {"criterion": "best"}, report)


def test_help_shows_an_example(run: Run) -> None:
    assert run("distill", "evaluate", "--help") == 0
    assert "Example: fusionfactory distill evaluate --store runs.db" in run.out


def test_the_terminal_tells_rows_claims_and_alarms(run: Run, folder: Path) -> None:
    assert run(*VERB, *BEST, "--control", "small-label", "--teacher", "large",
               "--recommended", "small-best") == 0  # fmt: skip
    assert run.err == ""
    lines = [line.split() for line in run.out.splitlines()]
    for row in ("small", "small-label", "small-best", "large"):
        assert any(line[:1] == [row] for line in lines)
    told = " ".join(run.out.split())
    assert "Against it in points of .01, with 95 % intervals: small-best (recommended) 0." in told
    assert "small-best (recommended) is better than zero-shot overall: +" in told
    assert "worse than before: world (−" in told
    assert "25 % facts −" in told
    assert "vs label-only" in told
    assert run(*VERB, *BEST) == 0
    assert "vs label-only" not in run.out


def test_json_and_reports_say_the_same(run: Run, folder: Path) -> None:
    assert run(*VERB, *BEST, "--json", "--html", "d.html") == 0
    content = run.json()
    assert content["kind"] == "distill"
    assert [row["name"] for row in content["rows"]] == ["small", "small-best"]
    assert [row["cut_share"] for row in content["rows"]] == [0, 0.25]
    assert "report: d.html" in run.err
    page = (folder / "d.html").read_text()
    (folder / "d.json").write_text(json.dumps(content))
    assert run("report", "d.json", "--out", "again.html") == 0
    assert (folder / "again.html").read_text() == page
    assert run("report", "d.json", "--out", "d.md") == 0
    assert (folder / "d.md").read_text().startswith("# Distillation report")


def test_a_table_does_not_tell_what_was_cut_off(run: Run, folder: Path) -> None:
    assert run("distill", "evaluate", "--store", "table.parquet", "--before", "small", *BEST,
               "--json") == 0  # fmt: skip
    assert {row["cut_share"] for row in run.json()["rows"]} == {None}


def test_a_regression_fails_the_command_where_that_was_asked_for(run: Run, folder: Path) -> None:
    assert run(*VERB, *BEST) == 0
    assert run(*VERB, *BEST, "--fail-on-regression") == 1
    assert "worse than before: world" in run.out
    assert run(*VERB, *BEST, "--fail-on-regression", "--task", "sums") == 0
    assert run(*VERB, "--student", "small-top5", "--fail-on-regression") == 0
    both = [*VERB, *BEST, "--student", "small-top5", "--fail-on-regression"]
    assert run(*both) == 1
    assert run(*both, "--recommended", "small-top5") == 0


def test_a_student_that_was_left_out_does_not_pass_for_unharmed(run: Run, folder: Path) -> None:
    long = student_table().to_long()
    lost = (pl.col("arm") == "small-best") & (pl.col("task") == "sums")
    with Store(folder / "gaps.db") as store:
        store.write_frame(long.filter(~lost))
    verb = [*VERB[:3], "gaps.db", *VERB[4:], *BEST, "--student", "small-top5"]
    assert run(*verb) == 0
    assert run(*verb, "--fail-on-regression") == 2
    assert "whether small-best is worse is not known: scored on 0% of the test" in run.err
    assert run(*verb, "--fail-on-regression", "--recommended", "small-best") == 2
    assert run(*verb, "--fail-on-regression", "--recommended", "small-top5") == 0


def test_students_tell_how_they_were_made(run: Run, folder: Path) -> None:
    learnt = selection()
    learnt.save(folder / "selection")
    student(folder / "students" / "best", learnt)
    assert run(*VERB, *BEST, "--student-dir", "small-best=students/best", "--selection",
               "selection", "--json", "--html", "d.html") == 0  # fmt: skip
    made = run.json()["students"]["small-best"]
    assert made["loss"] == [[10, 1.5], [20, 0.25]]
    assert made["settings"]["rank"] == 16
    assert "targets" not in made["settings"]
    assert made["selection"] == {
        "fingerprint": learnt.fingerprint(),
        "questions": {"asked": 9, "covered": 1, "uncovered": 8},
        "sources": [{"arm": "large", "answers": 7, "taken": 1}],
        "lengths": {"max": 1.0},
        "rejected": {"not right": 6},
    }
    assert "Loss by step of every student" in (folder / "d.html").read_text()


def test_a_selection_that_was_not_learnt_is_not_told_of(run: Run, folder: Path) -> None:
    student(folder / "best", selection())
    other = selection()
    replace(other, examples=(*other.examples, *other.examples)).save(folder / "other")
    assert run(*VERB, *BEST, "--student-dir", "small-best=best", "--selection", "other",
               "--json") == 0  # fmt: skip
    made = run.json()["students"]["small-best"]["selection"]
    assert made["rejected"] == {}
    assert made["sources"] == [{"arm": "large", "answers": None, "taken": 1}]


def test_the_settings_say_where_a_student_lies(run: Run, folder: Path) -> None:
    student(folder / "students" / "best", selection())
    (folder / "fusionfactory.toml").write_text(
        '[[models]]\nname = "small-best"\ngguf = "students/best/student.gguf"\n'
        '[[models]]\nname = "small-top5"\ngguf = "elsewhere/student.gguf"\n'
    )
    assert run(*VERB, *BEST, "--student", "small-top5", "--json") == 0
    assert list(run.json()["students"]) == ["small-best"]


def test_the_settings_name_the_store(run: Run, folder: Path) -> None:
    (folder / "fusionfactory.toml").write_text('store = "runs.db"\n')
    assert run("distill", "evaluate", "--before", "small", *BEST) == 0
    assert "400 test queries" in run.out


def test_a_report_holds_both_comparisons(run: Run, folder: Path) -> None:
    assert run(*VERB, *BEST, "--json", "d.json") == 0
    assert run("evaluate", "table.parquet", "--router", "elo", "--scenario", "performance",
               "--json", "e.json") == 0  # fmt: skip
    assert run("report", "e.json", "--distill", "d.json", "--out", "both.html") == 0
    page = (folder / "both.html").read_text()
    assert "<h2>Leaderboard</h2>" in page
    assert "<h2>Students of small</h2>" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["distill", "evaluate", "--before", "small", *BEST], "Missing option '--store'"),
        (VERB, "Missing option '--student'"),
        ([*VERB, "--student", "ghost"], "field 'arms': no arm 'ghost' has outcomes"),
        ([*VERB, *BEST, "--html", "x.pdf"], "no report form has"),
        ([*VERB, *BEST, "--test-split", "dev"], "no query is of the split 'dev'"),
        ([*VERB, *BEST, "--recommended", "large"], "'large' is no student"),
        ([*VERB, *BEST, "--student-dir", "large=x"], "names no student, expected NAME=DIR"),
        ([*VERB, *BEST, "--student-dir", "x"], "'x' names no student"),
        ([*VERB, *BEST, "--student-dir", "small-best=x"], "student.json"),
        ([*VERB, *BEST, "--selection", "none"], "selection.json"),
        (["distill", "evaluate", "--store", "no.db", "--before", "small", *BEST], "no such file"),
        (["report", "d.json", "--distill", "e.json"], "--distill adds to an evaluation of"),
        (["report", "e.json", "--distill", "none.json"], "none.json: no such file"),
    ],
)
def test_wrong_use_exits_2_and_writes_nothing(
    run: Run, folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "e.json").write_text("{}")
    (folder / "d.json").write_text('{"kind": "distill"}')
    before = {path.name for path in folder.iterdir()}
    assert run(*arguments) == 2
    assert message in run.err
    assert {path.name for path in folder.iterdir()} == before
