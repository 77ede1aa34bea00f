"""`fusionfactory collect` as a user meets it, beside an endpoint that nobody serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from fusionfactory.cli import main
from fusionfactory.store import Store
from fusionfactory.table import OutcomeTable
from fusionfactory.thoughts.template import TEMPLATES, Source, ThoughtTemplate, write_templates
from fusionfactory.types import Arm, Outcome, Query
from stub_upstream import stub_upstream

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """
store = "runs.db"

[[endpoints]]
name = "lab"
base_url = "http://127.0.0.1:9/v1"
retries = 0

[[models]]
name = "m"
endpoint = "lab"
strategies = ["direct", "think"]

[[tasks]]
name = "own"
path = "questions.jsonl"
metric = "contains"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings and ten questions, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fusionfactory.toml").write_text(SETTINGS)
    rows = [json.dumps({"question": f"What is {i} + 1?", "target": i + 1}) for i in range(10)]
    (tmp_path / "questions.jsonl").write_text("\n".join(rows))
    return tmp_path


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    main(["collect", "--dry-run", "--json", *arguments])
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return facts


def test_a_dry_run_counts_what_is_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = {"questions": 10, "arms": 2, "calls": 20, "held": 0}
    assert planned(capsys) == expected
    assert planned(capsys, "--samples", "3")["calls"] == 60
    assert planned(capsys, "--strategy", "think", "--train", "2", "--test", "1")["calls"] == 3
    with Store(folder / "log.db") as store:
        store.add_queries([Query("a", "A?"), Query("b", "B?")])
        store.add_arms([Arm("m")])
        store.append([Outcome("a", "m", response="A."), Outcome("b", "m", error="500")])
    imported = ("--store", "log.db", "--from-store")
    assert planned(capsys, *imported) == {"questions": 2, "arms": 2, "calls": 4, "held": 2}
    assert planned(capsys, *imported, "--retry-failed")["held"] == 1


def test_log_probabilities_are_stored_where_the_settings_ask_for_them(folder: Path) -> None:
    with stub_upstream() as stub:
        settings = SETTINGS.replace("http://127.0.0.1:9/v1", stub.url)
        sure = 'name = "sure"\nendpoint = "lab"\nlogprobs = true\n\n[[tasks]]'
        (folder / "fusionfactory.toml").write_text(
            settings.replace("[[tasks]]", f"[[models]]\n{sure}")
        )
        main(["collect", "--strategy", "direct"])
    with Store("runs.db") as store:
        table = store.table()
    assert table.arm_names == ("m", "sure")
    assert np.isnan(table.logprob[:, 0]).all()
    assert (table.logprob[:, 1] == -0.5).all()
    table.write("sure.parquet")
    np.testing.assert_array_equal(OutcomeTable.read("sure.parquet").logprob, table.logprob)
    table.select_arms(["m"]).write("plain.parquet")
    assert "logprob" in pl.read_parquet_schema("sure.parquet")
    assert "logprob" not in pl.read_parquet_schema("plain.parquet")


def test_the_questions_of_a_store_without_any(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["collect", "--from-store", "--store", "typo.db"])
    assert done.value.code == 2
    assert "Store('typo.db') holds no questions: import a log first" in capsys.readouterr().err


def test_a_run_in_which_every_call_failed_has_failed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(["collect", "--train", "2", "--test", "1", "--strategy", "direct"])
    assert done.value.code == 1
    said = capsys.readouterr().out
    assert "3 of them failed: --retry-failed asks those again" in said
    assert "cannot be reached" in said
    with Store(folder / "runs.db") as store:
        assert store.failures() == {"m": 3}


def test_arms_with_templates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strategies = '["direct", "format", "thought:2"]'
    text = SETTINGS.replace('["direct", "think"]', strategies) + '[think]\nbank = "bank"\n'
    (folder / "fusionfactory.toml").write_text(text)
    assert planned(capsys, "--strategy", "format")["calls"] == 10
    with pytest.raises(SystemExit) as done:
        main(["collect", "--dry-run", "--strategy", "thought:2"])
    assert done.value.code == 2
    assert "bank/templates.jsonl: no such file: build templates" in capsys.readouterr().err
    (folder / "bank").mkdir()
    note = ThoughtTemplate(
        "Add.", "What is 3 + 4?", "7", (Source("q", "m"),), ("performance",), "w", "1", "own"
    )
    write_templates([note], folder / "bank" / TEMPLATES)
    main(["think", "index", "--encoder", "hashing"])
    capsys.readouterr()
    assert planned(capsys, "--train", "2", "--test", "1") == {
        "questions": 3, "arms": 3, "calls": 9, "held": 0
    }  # fmt: skip
