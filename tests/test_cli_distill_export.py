"""`fusionfactory distill export`: what it writes, says and refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fusionfactory.cli import main
from fusionfactory.distill import Example, Message, Pair, Selection

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the test runs, with a selection of twenty examples and one pair."""
    monkeypatch.chdir(tmp_path)
    examples = tuple(
        Example(query_id=f"sums:{number}", prompt=asked(number), response=f"{2 * number}.", arm="m")
        for number in range(20)
    )
    pair = Pair(
        query_id="sums:1", prompt=asked(1), chosen="2.", rejected="3.", chosen_arm="m",
        rejected_arm="n", gap=1.0,
    )  # fmt: skip
    Selection(examples, (pair,), {"criterion": "best"}, {}).save(tmp_path / "selection")
    return tmp_path / "selection"


def asked(number: int) -> tuple[Message, ...]:
    return (Message(role="user", content=f"What is {number} + {number}?"),)


def export(*arguments: str) -> None:
    main(["distill", "export", "selection", *arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said where the use was wrong."""
    with pytest.raises(SystemExit) as done:
        export(*arguments)
    assert done.value.code == 2
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err


def test_it_writes_and_says_what_and_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export("--format", "trl-prompt-completion", "--out", "data", "--eval-share", "0.25")
    said = capsys.readouterr().out
    assert "sft/train.jsonl, 15 rows" in said
    assert "sft/validation.jsonl, 5 rows" in said
    assert "1 pairs are left out, for trl-prompt-completion carries none" in said
    assert "trl sft --model_name_or_path MODEL --dataset_name sft --use_peft" in said
    assert len((tmp_path / "data/sft/train.jsonl").read_text().splitlines()) == 15


def test_json_holds_the_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(
        "--format", "llama-factory", "--out", "data", "--model", "org/m", "--seed", "4", "--json"
    )
    found = json.loads(capsys.readouterr().out)
    there = json.loads((tmp_path / "data/export.json").read_text())
    assert {name: found[name] for name in there} == there
    assert found["rows"] == {"sft/train.jsonl": 20, "dpo/train.jsonl": 1}
    assert found["settings"]["seed"] == 4
    assert found["usage"] == [
        "llamafactory-cli train train_sft.yaml", "llamafactory-cli train train_dpo.yaml",
    ]  # fmt: skip
    info = json.loads((tmp_path / "data/dataset_info.json").read_text())
    assert info["fusionfactory_dpo"]["ranking"] is True
    assert info["fusionfactory_sft"]["ranking"] is False


def test_it_replaces_only_when_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export("--format", "alpaca", "--out", "data")
    capsys.readouterr()
    said = refused(capsys, "--format", "sharegpt", "--out", "data")
    assert "is there already: --force replaces an export" in said
    assert "instruction" in (tmp_path / "data/sft/train.jsonl").read_text()
    export("--format", "sharegpt", "--out", "data", "--force")
    assert "conversations" in (tmp_path / "data/sft/train.jsonl").read_text()


def test_wrong_use_is_said(
    tmp_path: Path, selection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "unknown training_format 'csv'; known: llama-factory" in refused(
        capsys, "--format", "csv", "--out", "data"
    )
    assert "names the model to train, and none is set" in refused(
        capsys, "--format", "llama-factory", "--out", "data"
    )
    (selection / "pairs.jsonl").unlink()
    assert "pairs.jsonl: no such file: choose training data first" in refused(
        capsys, "--format", "alpaca", "--out", "data"
    )
    assert not (tmp_path / "data").exists()
