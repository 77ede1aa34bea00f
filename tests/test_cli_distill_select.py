"""`fusionfactory distill select` from the command line: what it writes, says and refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from fake_answers import arms, question
from fake_outcomes import outcome_table
from fusionfactory.cli.app import cli, main
from fusionfactory.distill.selection import Selection
from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Score

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two train questions and a test one, answered by a right, a wrong and an unscored arm."""
    path = tmp_path / "runs.db"
    queries = [question("q"), question("r"), question("t", split="test")]
    with Store(path) as runs:
        runs.add_queries(queries)
        runs.add_arms([Arm("good", output_price=1.0), Arm("bad"), Arm("new")])
        for query in queries:
            for row in arms(query.id, good=(1.0, None, 1e-3), bad=(0.0, None, 1e-4)):
                scores = (Score("performance", row["quality"]),)
                outcome = Outcome(query.id, row["arm"], response=row["response"], scores=scores)
                runs.append([outcome])
            runs.append([Outcome(query.id, "new", response="it is 4")])
    return path


def run(*arguments: object) -> Any:  # noqa: ANN401
    return CliRunner().invoke(cli, ["distill", "select", *map(str, arguments)])


def test_writes_a_selection_and_says_what_was_taken_and_why_not_the_rest(
    store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "selection"
    result = run("--store", store, "--out", out, "--pairs")
    assert result.exit_code == 0, result.output
    found = Selection.load(out)
    assert [example.arm for example in found.examples] == ["good", "good"]
    assert [pair.rejected_arm for pair in found.pairs] == ["bad", "bad"]
    assert "2 examples by best of 2 of 2 questions" in result.output
    assert "not right" in result.output
    assert "question of another split" in result.output
    assert "2 pairs of 2 questions, 2 by quality" in result.output
    assert "2 answers have no quality yet: `fusionfactory score` gives it" in result.output
    assert f"written to {out} (fingerprint {found.fingerprint()})" in result.output


def test_json_says_what_the_folder_says(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "selection"
    result = run("--store", store, "--out", out, "--json", tmp_path / "facts.json", "--top-k", 1)
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))
    found = Selection.load(out)
    assert facts["report"] == found.report
    assert facts["settings"] == found.settings
    assert facts["settings"]["top_k"] == 1
    assert facts["fingerprint"] == found.fingerprint()


def test_a_dry_run_writes_nothing(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "selection"
    result = run("--store", store, "--out", out, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "nothing is written" in result.output
    assert not out.exists()
    assert run("--store", store, "--dry-run").exit_code == 0
    without = run("--store", store)
    assert without.exit_code == 2
    assert "--out says where to" in without.output


def test_does_not_replace_a_selection_unless_told_to(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "selection"
    assert run("--store", store, "--out", out).exit_code == 0
    arguments = ["distill", "select", "--store", str(store), "--out", str(out)]
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--criterion", "label"])
    assert f"{out}: there is a selection here already: --force" in capsys.readouterr().err
    assert Selection.load(out).criterion == "best"
    assert run("--store", store, "--out", out, "--criterion", "label", "--force").exit_code == 0
    assert Selection.load(out).criterion == "label"


def test_every_option_reaches_the_settings(store: Path, tmp_path: Path) -> None:
    held = tmp_path / "held.jsonl"
    held.write_text('{"question": "What is s?"}\n', encoding="utf-8")
    out = tmp_path / "selection"
    given = [
        "--source-arm", "good", "--max-price", 2, "--task", "gsm8k", "--strategy", "think",
        "--min-quality", 0.5, "--no-verify", "--no-distinct", "--near", 0.7, "--one-per-model",
        "--student", "bad", "--stretch", 3, "--always-fits", 40, "--max-tokens", 99,
        "--solved", "0.1:0.9", "--per-task", 50, "--token-budget", 5000, "--against", held,
        "--ngram", 6, "--overlap", 0.4, "--pairs", "--min-gap", 0.6,
        "--min-judge-gap", 0.2, "--pairs-per-question", 2,
        "--length-ratio", 4, "--seed", 5,
    ]  # fmt: skip
    result = run("--store", store, "--out", out, *given)
    assert result.exit_code == 0, result.output
    assert Selection.load(out).settings == {
        "criterion": "best", "top_k": 5, "min_quality": 0.5, "min_judge": None,
        "source_arms": ["good"], "max_price": 2.0, "tasks": ["gsm8k"], "split": "train",
        "strategy": "think", "student": "bad", "stretch": 3.0, "always_fits": 40, "max_tokens": 99,
        "solved": [0.1, 0.9], "verify": False, "distinct": False, "near": 0.7,
        "one_per_model": True, "per_task": 50, "token_budget": 5000,
        "contamination": {"ngram": 6, "share": 0.4, "against": [str(held)]},
        "pairs": {"min_gap": 0.6, "min_judge_gap": 0.2, "per_query": 2, "same_source": False,
                  "length_ratio": 4.0},
        "seed": 5,
    }  # fmt: skip
    odd = run("--store", store, "--out", out, "--force", "--solved", "half")
    assert odd.exit_code == 2
    assert "'half' is no range, expected LOW:HIGH" in odd.output


def test_reads_a_table_and_warns_where_nothing_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    queries = [question("gsm8k:q"), question("gsm8k:r")]
    texts = [["it is 4", "it is 5"], ["it is 4", "it is 5"]]
    outcome_table(queries, ["good", "bad"], [[1, 0], [1, 0]], responses=texts).write(path)
    result = run("--store", path, "--out", tmp_path / "selection")
    assert result.exit_code == 0, result.output
    assert "there is no question of another split to keep out" in result.output
    assert len(Selection.load(tmp_path / "selection").examples) == 2
    careless = run("--store", path, "--dry-run", "--no-contamination")
    assert "nothing was looked for that is held out" in careless.output


def test_errors_name_the_store(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["distill", "select", "--store", str(store), "--dry-run"]
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--source-arm", "who"])
    error = capsys.readouterr().err
    assert f"error: {store}, field 'source_arms': no arm or model 'who' has answered" in error
