"""`fusionfactory distill train` as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from fusionfactory.cli import main
from fusionfactory.distill.training import StudentRecord
from tiny_model import make_selection, make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("peft")
pytestmark = pytest.mark.torch

QUICK = (
    "--max-steps", "3", "--batch-size", "8", "--rank", "4", "--dtype", "float32", "--device", "cpu",
    "--threads", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    make_tiny_model(folder / "tiny")
    make_selection().save(folder / "selection")
    return folder


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(out: Path, *more: str, selection: str = "selection", base: str = "tiny") -> Done:
        capsys.readouterr()
        code = 0
        try:
            main(["distill", "train", str(folder / selection), "--base", str(folder / base),
                  "--out", str(out), *QUICK, *more])  # fmt: skip
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        told = capsys.readouterr()
        return Done(code, told.out, told.err)

    return run


def test_a_student_is_trained_and_told_of(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "student"
    done = run(out, "--logging-steps", "1", "--json", str(tmp_path / "facts.json"))
    assert done.code == 0, done.err
    assert "38 examples, 2 held out:" in done.out
    assert "3 steps over 38 examples" in done.out
    assert "on 2 held-out examples" in done.out
    record = StudentRecord.load(out)
    assert json.loads((tmp_path / "facts.json").read_text()) == record.model_dump(mode="json")
    assert "holds this student already" in run(out, "--logging-steps", "1").out


def test_a_dry_run_leaves_nothing(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "student"
    done = run(out, "--dry-run", "--method", "dpo", "--json", "-")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["method"] == "dpo"
    assert facts["steps"] == 3
    assert "38 pairs" in done.err
    assert "assumed; --probe measures" in done.err
    assert "measured here" in run(out, "--dry-run", "--probe").out
    assert not out.exists()


def test_another_training_in_the_folder_is_refused(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "student"
    assert run(out).code == 0
    other = run(out, "--seed", "1")
    assert other.code == 2
    assert "seed 0, now 1" in other.err
    assert "--restart" in other.err
    assert run(out, "--seed", "1", "--restart").code == 0
    assert StudentRecord.load(out).settings["seed"] == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--max-length", "2"), "longer than 2 tokens"),
        (("--target", "nothing_proj"), "nothing_proj"),
        (("--adapter", "."), "cannot be used as an adapter"),
    ],
)
def test_what_cannot_be_trained_is_said(
    run: Run, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    done = run(tmp_path / "student", *more)
    assert done.code == 2
    assert said in done.err


def test_a_missing_selection_or_base_is_said(run: Run, tmp_path: Path) -> None:
    done = run(tmp_path / "student", base="none.gguf")
    assert done.code == 2
    assert "none.gguf" in done.err
    done = run(tmp_path / "student", selection="none")
    assert done.code == 2
    assert "fusionfactory distill select" in done.err
