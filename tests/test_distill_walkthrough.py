"""The walk-through of docs/distill.md with a real model: select, train, register, ask, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from command_line import facts, run
from fusionfactory.demo import bundled_log
from fusionfactory.store import Store

for _package in ("torch", "trl", "peft", "gguf", "xllamacpp"):
    pytest.importorskip(_package)

pytestmark = pytest.mark.torch

TASK = "rg_chain_sum"
BEFORE = "smollm2-135m-instruct"
STUDENT = "smollm2-best"
UNTRAINED = "smollm2-f16"
SETTINGS = f"""\
# Kept as it is.
store = "runs.db"

[[models]]
name = "{BEFORE}"
gguf = "{{gguf}}"
params = {{{{ temperature = 0.0, max_tokens = 12 }}}}
input_price = 0.01
output_price = 0.02
threads = 1

[[tasks]]
name = "{TASK}"

[distill]
before = "{BEFORE}"
base = "{{gguf}}"
source_arm = ["qwen2.5-coder-1.5b-instruct"]
"""


@pytest.fixture
def settings(tmp_path: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    text = SETTINGS.format(gguf=gguf)
    Path("fusionfactory.toml").write_text(text)
    table = bundled_log("fusionbench")
    with Store("runs.db") as store:
        store.write_table(table.rows(np.nonzero(table.tasks == TASK)[0]))
    return text


def test_from_a_log_to_a_student_and_what_it_lost(settings: str) -> None:
    assert run("distill", "select", "--out", "selection") == 0
    taken = facts("selection/selection.json")["report"]["examples"]
    assert taken > 5
    lines = Path("selection/examples.jsonl").read_text().splitlines()
    assert len(lines) == taken
    assert {json.loads(line)["quality"] for line in lines} == {1.0}

    train = ("distill", "train", "selection", "--out", "students/best", "--threads", "1",
             "--learning-rate", "1e-3", "--epochs", "3", "--batch-size", "4")  # fmt: skip
    assert run(*train, "--json", "trained.json") == 0
    record = facts("students/best/student.json")
    losses = [loss for _, loss in record["losses"]]
    assert losses[-1] < losses[0]

    assert run("distill", "register", "students/best", "--name", STUDENT) == 0
    assert run("distill", "register", "students/best", "--name", UNTRAINED, "--untrained") == 0
    assert Path("fusionfactory.toml").read_text().startswith(settings)
    ask = ("collect", "--from-store", "--model", STUDENT, "--model", UNTRAINED)
    assert run(*ask, "--json", "collected.json") == 0
    assert (facts("collected.json")["done"], facts("collected.json")["failed"]) == (30, 0)
    assert run("score") == 0

    evaluate = ("distill", "evaluate", "--before", UNTRAINED, "--student", STUDENT, "--teacher",
                "qwen2.5-coder-1.5b-instruct")  # fmt: skip
    assert run(*evaluate, "--json", "found.json", "--html", "found.html") == 0
    found = facts("found.json")
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == [UNTRAINED, STUDENT, "qwen2.5-coder-1.5b-instruct"]
    assert found["queries"] == 5
    with Store("runs.db") as store:
        answers = {(o.arm, o.query_id): o.response for o in store.outcomes()}
    ids = {name for _, name in answers}
    assert any(answers[STUDENT, name] != answers[UNTRAINED, name] for name in ids)
    assert "best" in Path("found.html").read_text()
