"""The command line: examples, exit codes, messages, pure JSON, and nothing written on errors."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import polars as pl
import pytest

from fusionfactory.cli import main
from fusionfactory.cli.app import cli
from fusionfactory.layout import to_fusionbench
from fusionfactory.routers import load_router, make_router, save_router
from fusionfactory.settings_template import TEMPLATE
from fusionfactory.table import OutcomeTable
from fusionfactory.testing import make_table
from fusionfactory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

VERBS = cli.list_commands(click.Context(cli))
QUICK = ("--router", "elo", "--scenario", "performance")


class Run:
    """Runs a command in this process and keeps what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str | Path) -> int:
        code: object = 0
        self._capsys.readouterr()
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as done:
            code = done.code
        self.out, self.err = self._capsys.readouterr()
        assert isinstance(code, int)
        return code

    def json(self) -> Any:  # noqa: ANN401  any JSON value
        """Standard output, which must be JSON and nothing else."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a table and a saved router."""
    monkeypatch.chdir(tmp_path)
    make_table(80).write(tmp_path / "log.parquet")
    save_router(make_router("elo").fit(make_table(80)), tmp_path / "router")
    return tmp_path


def names(folder: Path) -> set[str]:
    """Every file and folder below."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


# Help, version, exit codes


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_an_example(run: Run, verb: str) -> None:
    assert run(verb, "--help") == 0
    assert f"Example: fusionfactory {verb}" in run.out or f"| fusionfactory {verb}" in run.out
    assert run(verb, "-h") == 0


def test_help_lists_every_verb(run: Run) -> None:
    assert run("--help") == 0
    for verb in VERBS:
        assert f"\n  {verb} " in run.out


def test_version(run: Run) -> None:
    assert run("--version") == 0
    assert run.out == f"fusionfactory, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "No such command 'fly'"),
        (["evaluate"], "Missing argument 'TABLE'"),
        (["evaluate", "log.parquet", "--wings"], "No such option"),
        (["evaluate", "log.parquet", "--seeds", "0"], "0 is not in the range x>=1"),
        (["evaluate", "log.parquet", "--seeds", "x"], "'x' is not a valid int"),
        (["evaluate", "log.parquet", "--test-share", "1"], "is not in the range 0<x<1"),
        (["evaluate", "log.parquet", "--router", "kmm"], "unknown router 'kmm'; known: stack"),
        (["evaluate", "log.parquet", "--router", "knn:q=1"], "no parameter 'q'; it has encoder"),
        (["evaluate", "log.parquet", "--router", "knn:k=x"], "field 'knn:k': 'x' is no number"),
        (["evaluate", "log.parquet", "--scenario", "best"], "unknown policy 'best'"),
        (["evaluate", "log.parquet", "--encoder", "bort"], "unknown encoder 'bort'"),
        (["evaluate", "log.parquet", "--format", "excel"], "unknown importer 'excel'"),
        (["evaluate", "log.parquet", "--html", "x.pdf"], "x.pdf: no report form has the suffix"),
        (["evaluate", "absent.parquet"], "absent.parquet: no such file"),
        (["evaluate", "absent.csv"], "absent.csv: no such file"),
        (["fit", "log.parquet", "--out", "new", "--policy", "best"], "unknown policy 'best'"),
        (["fit", "log.parquet", "--out", "new", "--router", "knn-paper"], "give fit one"),
        (
            ["fit", "log.parquet", "--out", "log.parquet"],
            "log.parquet: exists and holds something other than a router",
        ),
        (["fit", "log.parquet"], "Missing option '--out'"),
        (["route", "nowhere", "x"], "nowhere/router.json: no saved router here"),
        (["route", "router", "x", "--policy", "best"], "unknown policy 'best'"),
        (["test", "nowhere", "log.parquet"], "nowhere/router.json: no saved router here"),
        (["import", "generic", "log.csv"], "say where to: --out TABLE.parquet or --store URL"),
        (["import", "nope", "log.csv", "--out", "x.parquet"], "unknown importer 'nope'"),
        (["import", "generic", "log.csv", "--out", "x", "--column", "a"], "'a' is no mapping"),
        (["report", "absent.json"], "absent.json: no such file"),
        (["--config", "absent.toml", "init"], "absent.toml: no such file"),
    ],
)
def test_wrong_use_exits_2_and_writes_nothing(
    run: Run, folder: Path, arguments: list[str], message: str
) -> None:
    before = names(folder)
    assert run(*arguments) == 2
    assert message in run.err
    assert run.out == ""
    assert names(folder) == before


def test_a_place_that_cannot_be_written_exits_1(run: Run, folder: Path) -> None:
    before = names(folder)
    assert run("evaluate", "log.parquet", *QUICK, "--json", "log.parquet/x.json") == 1
    assert run.err.splitlines()[-1].startswith("error: [Errno")
    assert names(folder) == before


# Bad input


def _log() -> pl.DataFrame:
    return to_fusionbench(make_table(20).to_long())


def _set(column: str, row: int, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        values = frame[column].to_list()
        values[row - 1] = value
        return frame.with_columns(pl.Series(column, values, strict=False))

    return change


BAD: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "no llm column": (lambda f: f.drop("llm"), "bad.parquet, field 'llm': missing; the columns"),
    "no query column": (lambda f: f.drop("query"), "bad.parquet, field 'query': missing"),
    "text for a score": (
        lambda f: _set("performance", 3, "good")(f.with_columns(pl.col("performance").cast(str))),
        "bad.parquet, row 3, field 'performance': 'good' is no number",
    ),
    "a list for a score": (
        lambda f: f.with_columns(pl.concat_list("performance")),
        "bad.parquet, field 'performance': has type List(Float64), expected a number",
    ),
    "a score above 1": (
        _set("performance", 5, 1.5),
        "bad.parquet, row 5, field 'performance': 1.5 must lie in [0, 1]",
    ),
    "a judge's score below 0": (
        _set("llm_judge", 7, -0.1),
        "bad.parquet, row 7, field 'llm_judge': -0.1 must lie in [0, 1]",
    ),
    "a negative cost": (_set("cost", 2, -1.0), "bad.parquet, row 2, field 'cost': -1.0 must be"),
    "no arm": (_set("llm", 4, None), "bad.parquet, row 4, field 'llm': None is empty"),
    "a cell twice": (
        lambda f: pl.concat([f, f[:1]]),
        "bad.parquet, row 61: duplicate cell: arm 'arm-0' already answered query",
    ),
    "no rows": (lambda f: f[:0], "bad.parquet: the table has no rows"),
    "one arm": (
        lambda f: f.filter(pl.col("llm") == "arm-0"),
        "bad.parquet, field 'llm': only one arm (arm-0): there is nothing to route between",
    ),
    "one query": (lambda f: f[:3], "bad.parquet: 1 queries are too few for test=0.3"),
    "no scores": (
        lambda f: f.with_columns(pl.lit(None, dtype=pl.Float64).alias("performance")),
        "bad.parquet, field 'performance': no arm is scored on 90% of the queries",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_explained(run: Run, folder: Path, case: str) -> None:
    spoil, message = BAD[case]
    spoil(_log()).write_parquet(folder / "bad.parquet")
    before = names(folder)
    code = run("evaluate", "bad.parquet", "--json", "out.json", "--html", "out.html")
    assert code == 2
    assert message in run.err
    assert names(folder) == before


@pytest.mark.parametrize("verb", ["evaluate", "fit", "test"])
def test_a_truncated_file_is_explained(run: Run, folder: Path, verb: str) -> None:
    body = (folder / "log.parquet").read_bytes()
    (folder / "bad.parquet").write_bytes(body[: len(body) // 2])
    before = names(folder)
    arguments = {"evaluate": ["--json", "x.json"], "fit": ["--out", "new"], "test": []}[verb]
    places = ["router", "bad.parquet"] if verb == "test" else ["bad.parquet"]
    assert run(verb, *places, *arguments) == 2
    assert run.err.startswith("error: bad.parquet: ")
    assert names(folder) == before


def test_arms_that_the_table_lacks_are_named(run: Run, folder: Path) -> None:
    make_table(40, seed=3).select_arms(["arm-0", "arm-2"]).write(folder / "bad.parquet")
    before = names(folder)
    assert run("test", "router", "bad.parquet", "--json", "x.json") == 2
    assert "bad.parquet, field 'arms': unknown arm 'arm-1'; the table has arm-0" in run.err
    assert names(folder) == before


def test_an_arm_without_scores_is_left_out_and_named(run: Run, folder: Path) -> None:
    table = make_table(40)
    table.quality[:, 1] = np.nan
    table.write(folder / "bad.parquet")
    assert run("fit", "bad.parquet", "--router", "elo", "--out", "new") == 0
    assert "arm-1 is left out: scored on 0.0% of the queries" in run.out
    assert json.loads((folder / "new/router.json").read_text())["arms"] == ["arm-0", "arm-2"]


@pytest.mark.parametrize("known", [True, False])
def test_unknown_costs_are_legal(run: Run, folder: Path, known: bool) -> None:
    table = make_table(60)
    for cells in (table.cost_usd, table.input_tokens, table.output_tokens):
        cells[: 60 if known else None, 0 if known else slice(None)] = np.nan
    frame = to_fusionbench(table.to_long()).drop("input_price", "output_price")
    frame.write_parquet(folder / "free.parquet")
    assert run("evaluate", "free.parquet", "--router", "elo,ridge", "--json") == 0
    assert run.json()["skipped"].keys() == (set() if known else {"balance", "cost"})
    assert run("fit", "free.parquet", "--router", "ridge", "--out", "new", "--json") == 0
    assert "cost_usd" not in run.json()["metrics"] or known
    assert run("route", "new", "What?", "--json") == 0


def test_a_newer_router_is_refused(run: Run, folder: Path) -> None:
    path = folder / "router" / "router.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    for arguments in (["route", "router", "x"], ["test", "router", "log.parquet"]):
        assert run(*arguments) == 2
        assert "router/router.json, field 'schema_version': schema version 99" in run.err
        assert "upgrade fusionfactory" in run.err


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("router.json", b"arm-1", b"arm-7"), ("router.safetensors", b"\x00\x00", b"\x00\x01")],
)
def test_a_tampered_router_is_refused(
    run: Run, folder: Path, name: str, old: bytes, new: bytes
) -> None:
    path = folder / "router" / name
    body = path.read_bytes()
    assert old in body
    path.write_bytes(body.replace(old, new))
    assert run("route", "router", "x") == 2
    assert f"router/{name}" in run.err
    assert "after it was saved: its checksum does not match" in run.err
    assert run.out == ""


# evaluate


def test_evaluate_prints_leaderboards_and_a_verdict(run: Run, folder: Path) -> None:
    assert run("evaluate", "log.parquet", *QUICK) == 0
    assert "80 queries x 3 arms, 3 tasks; 100.0% of the cells scored" in run.out
    for row in ("elo", "best_single", "task_best", "random", "cheapest", "zero", "oracle"):
        assert f"\n  {row} " in run.out
    assert "the best single arm's." in run.out
    assert run.err == ""


def test_json_to_a_file_leaves_the_text(run: Run, folder: Path) -> None:
    assert run("evaluate", "log.parquet", *QUICK, "--json", "new/out.json") == 0
    assert "best_single" in run.out
    content = json.loads((folder / "new/out.json").read_text())
    assert content["scenarios"].keys() == {"performance"}


def test_json_to_standard_output_is_pure(run: Run, folder: Path) -> None:
    assert run("evaluate", "log.parquet", *QUICK, "--html", "r.html", "--json") == 0
    assert run.json()["table"]["queries"] == 80
    assert "best_single" in run.err
    assert (folder / "r.html").read_text().startswith("<!doctype html>")


def test_routers_and_scenarios_in_lists(run: Run, folder: Path) -> None:
    routers = ("--router", "elo,task", "--router", "knn:k=5,seed=1")
    scenarios = ("--scenario", "performance,max:1e-05,cost", "--scenario", "price:0.001")
    assert run("evaluate", "log.parquet", *routers, *scenarios, "--json") == 0
    found = run.json()["scenarios"]
    assert list(found) == ["performance,max:1e-05", "cost", "price:0.001"]
    assert {row["router"] for row in found["cost"][:3]} == {"elo", "task", "knn:k=5,seed=1"}


def test_warnings_of_the_protocol_are_printed(run: Run, folder: Path) -> None:
    table = make_table(60)
    table.quality[:30, 1] = np.nan
    for cells in (table.cost_usd, table.input_tokens, table.output_tokens, table.judge):
        cells[:] = np.nan
    table.write(folder / "odd.parquet")
    assert run("evaluate", "odd.parquet", "--router", "elo") == 0
    assert "arm-1 is left out: scored on 50.0% of the queries." in run.out
    assert "costs are nominal" in run.out
    assert "judge was skipped: the table has no judge scores." in run.out


def test_a_csv_of_another_tool_is_a_table(run: Run, folder: Path) -> None:
    _log().write_csv(folder / "log.csv")
    assert run("evaluate", "log.csv", *QUICK, "--json") == 0
    assert run.json()["table"]["queries"] == 20


# fit, test, route


def test_fit_test_route(run: Run, folder: Path) -> None:
    make_table(60, seed=9).write(folder / "fresh.parquet")
    assert run("fit", "log.parquet", "--router", "ridge", "--out", "new/ridge") == 0
    assert run.out.startswith("ridge saved in new/ridge; held out: quality ")
    assert run("test", "new/ridge", "fresh.parquet", "--json") == 0
    found = run.json()
    assert found["table"] == {"queries": 60, "queries_seen_in_training": 0, "router": "ridge"}
    assert list(found["scenarios"]) == ["performance", "balance", "cost"]
    (row,) = found["scenarios"]["cost"]
    assert row.keys() >= {"router", "quality", "cost_usd", "reward", "ci95", "verdict"}
    assert run("route", "new/ridge", "total sum of digits", "king born in which city") == 0
    assert "total sum of digits" in run.out
    assert run("fit", "log.parquet", "--router", "elo", "--out", "new/ridge", "--json") == 0
    assert run.json()["router"] == load_router("new/ridge").name == "elo"


def test_fit_on_everything_measures_nothing(run: Run, folder: Path) -> None:
    fitting = ("fit", "log.parquet", "--router", "elo", "--out", "new", "--holdout", "0")
    assert run(*fitting) == 0
    assert run.out == "elo saved in new\n"


def test_a_paper_recipe_keeps_its_policy(run: Run, folder: Path) -> None:
    fitting = ("fit", "log.parquet", "--router", "knn-paper", "--out", "new")
    assert run(*fitting, "--policy", "balance") == 0
    assert run("route", "new", "x", "--json") == 0
    assert run("route", "new", "x", "--policy", "cost") == 2
    assert "learned the labels of policy 'balance' and cannot decide by 'cost'" in run.err
    make_table(40, seed=9).write(folder / "fresh.parquet")
    assert run("test", "new", "fresh.parquet", "--json") == 0
    assert list(run.json()["scenarios"]) == ["balance"]


def test_the_template_lets_a_paper_recipe_decide(run: Run, folder: Path) -> None:
    assert run("init") == 0
    fitting = ("fit", "log.parquet", "--router", "knn-paper", "--out", "new")
    assert run(*fitting, "--policy", "balance") == 0
    assert run("route", "new", "x") == 0


def test_queries_seen_in_training_are_left_out(run: Run, folder: Path) -> None:
    OutcomeTable.from_long(
        pl.concat([make_table(80).to_long(), make_table(20, seed=9).to_long().with_columns(
            pl.col("query_id") + "-new", pl.col("query") + " new")])
    ).write(folder / "mixed.parquet")  # fmt: skip
    assert run("test", "router", "mixed.parquet") == 0
    assert "80 queries were seen in training and are left out." in run.out
    assert run("test", "router", "log.parquet") == 2
    assert "log.parquet: the router was fitted on every query here" in run.err


def test_route_reads_lines(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {}},
             {"type": "text", "text": "who?"}]  # fmt: skip
    lines = [
        {"query": "What is 7*8?"},
        "a bare text",
        {"messages": [{"role": "system", "content": "Be brief."},
                      {"role": "user", "content": "first"},
                      {"role": "assistant", "content": "yes"},
                      {"role": "user", "content": "then"}]},
        {"messages": [{"role": "user", "content": parts}]},
        {"query": "añ漢字🙂", "id": 3},
    ]  # fmt: skip
    text = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    feed(monkeypatch, b"\xef\xbb\xbf" + text.encode())
    assert run("route", "router", "--json") == 0
    decisions = [json.loads(line) for line in run.out.splitlines()]
    expected = ["What is 7*8?", "a bare text", "first\nthen", "look\nwho?", "añ漢字🙂"]
    assert [decision["query"] for decision in decisions] == expected
    for decision in decisions:
        assert decision["arm"] in {"arm-0", "arm-1", "arm-2"}
        assert decision["propensity"] == 1.0
        assert decision["router"].startswith("elo@")
        assert 0 <= decision["expected_quality"] <= 1
        assert decision["expected_cost_usd"] > 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "standard input, row 2: is no JSON: Expecting property name"),
        (b"\xff\xfe", "standard input, row 2: is no JSON: 'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000, "standard input, row 2: is no JSON: "),
        (b"3", "standard input, row 2, field 'query': expected a JSON object with a text"),
        (b'{"query": 3}', "standard input, row 2, field 'query': expected a JSON object"),
        (b'{"words": "x"}', "standard input, row 2, field 'query': expected a JSON object"),
    ],
)
def test_route_names_a_bad_line(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, message: str
) -> None:
    feed(monkeypatch, b'{"query": "good"}\n' + line + b"\n")
    assert run("route", "router") == 2
    assert message in run.err
    assert run.out == ""


def test_route_needs_a_query(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, b"\n \n")
    assert run("route", "router") == 2
    assert "no query: give one as an argument" in run.err


def test_route_prints_odd_texts_as_they_are(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, b'{"query": "[red]x[/red] [/]"}\n{"query": "lone \\ud800"}\n{"query": ""}\n')
    assert run("route", "router") == 0
    assert "[red]x[/red] [/]" in run.out
    assert "lone ?" in run.out
    assert len(run.out.strip().splitlines()) == 5


class Interrupted(io.RawIOBase):
    """Standard input at which the user presses Ctrl-C."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: object) -> int:
        raise KeyboardInterrupt


def test_an_interrupt_exits_130(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Interrupted())))
    assert run("route", "router") == 130
    assert run.err.strip() == "interrupted"
    assert run.out == ""


# import, init, report


CSV = "question,model,grade\nWhat is 2+2?,small,1\nWhat is 2+2?,large,1\nProve it.,large,0.5\n"
COLUMNS = ("--column", "query=question", "--column", "arm=model", "--column", "quality=grade")


def test_import_generic(run: Run, folder: Path) -> None:
    (folder / "grades.csv").write_text(CSV)
    assert run("import", "generic", "grades.csv", *COLUMNS, "--out", "new/grades.parquet") == 0
    assert run.out == "2 queries x 2 arms, 3 scored outcomes (75.0% of the cells)\n"
    table = OutcomeTable.read(folder / "new/grades.parquet")
    assert table.arm_names == ("small", "large")
    np.testing.assert_array_equal(table.quality, [[1, 1], [np.nan, 0.5]])
    assert run("import", "generic", "grades.csv", *COLUMNS, "--out", "b.parquet", "--json") == 0
    assert run.json() == {
        "format": "generic", "queries": 2, "arms": ["small", "large"], "scored": 3,
        "coverage": {"small": 0.5, "large": 1.0},
    }  # fmt: skip


def test_import_names_row_and_field_and_writes_nothing(run: Run, folder: Path) -> None:
    (folder / "grades.csv").write_text(CSV.replace("0.5", "50"))
    before = names(folder)
    places = ("--out", "x.parquet", "--store", "x.db")
    assert run("import", "generic", "grades.csv", *COLUMNS, *places) == 2
    assert "grades.csv, row 3, field 'grade': 50.0 must lie in [0, 1]" in run.err
    assert run("import", "generic", "grades.csv", "--column", "qurey=question", *places) == 2
    assert "field 'columns': 'qurey' is nothing a column can be; known: query" in run.err
    assert run("import", "auto", "grades.csv", *places) == 2
    assert "grades.csv: fits no known format" in run.err
    assert names(folder) == before


def test_import_into_a_store(run: Run, folder: Path) -> None:
    (folder / "grades.csv").write_text(CSV)
    assert run("import", "generic", "grades.csv", *COLUMNS, "--store", "runs.db") == 0
    connection = sqlite3.connect(folder / "runs.db")
    try:
        assert connection.execute("select count(*) from outcomes").fetchone() == (3,)
    finally:
        connection.close()


def test_import_finds_the_format(run: Run, folder: Path) -> None:
    _log().write_csv(folder / "log.csv")
    assert run("import", "auto", "log.csv", "--out", "new.parquet", "--json") == 0
    assert run.json()["format"] == "fusionbench"
    again = OutcomeTable.read(folder / "new.parquet")
    assert again.fingerprint() == make_table(20).fingerprint()


def test_init_replaces_only_by_force(run: Run, folder: Path) -> None:
    assert run("init") == 0
    assert run.out == "wrote fusionfactory.toml\n"
    path = folder / "fusionfactory.toml"
    assert path.read_text() == TEMPLATE
    path.write_text("[fit]\nseed = 4\n")
    assert run("init") == 2
    assert "fusionfactory.toml: exists already: --force replaces it" in run.err
    assert path.read_text() == "[fit]\nseed = 4\n"
    assert run("init", "--force", "--json") == 0
    assert run.json() == {"written": "fusionfactory.toml"}
    assert path.read_text() == TEMPLATE


def test_report_from_json(run: Run, folder: Path) -> None:
    assert run("evaluate", "log.parquet", *QUICK, "--json", "found.json") == 0
    for name, start in (("a.html", "<!doctype html>"), ("a.md", "# "), ("a.json", "{")):
        assert run("report", "found.json", "--out", name) == 0
        assert run.out == f"wrote {name}\n"
        assert (folder / name).read_text().startswith(start)
    before = names(folder)
    assert run("report", "found.json", "--out", "a.pdf") == 2
    assert "a.pdf: no report form has the suffix '.pdf'; expected .html, .md, .json" in run.err
    (folder / "found.json").write_text("{")
    assert run("report", "found.json", "--out", "b.html") == 2
    assert "error: found.json: " in run.err
    assert names(folder) == before


# As a process


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "fusionfactory", *map(str, arguments)]


def test_the_module_and_the_script_are_the_same(folder: Path) -> None:
    script = Path(sys.executable).with_name("fusionfactory")
    for start in (command(), [str(script)]):
        done = subprocess.run([*start, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"fusionfactory, version {__version__}\n"


def test_exit_codes_of_the_process(folder: Path) -> None:
    done = subprocess.run(
        command("evaluate", "absent.parquet"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: absent.parquet: no such file\n"


def test_a_reader_that_leaves_early_is_no_crash(folder: Path) -> None:
    lines = "\n".join(json.dumps({"query": f"number {i} " + "x" * 200}) for i in range(2000))
    (folder / "many.jsonl").write_text(lines)
    with (folder / "many.jsonl").open() as queries, subprocess.Popen(
        command("route", "router", "--json"), stdin=queries, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["query"].startswith("number 0")
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == ""
