"""The walk-through of docs/fusionbench.md with a real model: collect, score, judge, evaluate."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from command_line import facts, run
from fusionfactory.store import Store

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "smollm2-135m-instruct"
SETTINGS = f"""
store = "runs.db"

[[models]]
name = "{MODEL}"
gguf = "{{gguf}}"
strategies = ["direct", "think"]
params = {{{{ temperature = 0.0, max_tokens = 48 }}}}
input_price = 0.01
output_price = 0.02
threads = 1

[[tasks]]
name = "rg_chain_sum"

[[tasks]]
name = "rg_needle_haystack"

[[tasks]]
name = "capitals"
path = "capitals.jsonl"
metric = "contains"
instruction = "Answer in one word."
"""
CAPITALS = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Spain": "Madrid",
            "Germany": "Berlin", "Egypt": "Cairo"}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fusionfactory.toml").write_text(SETTINGS.format(gguf=gguf))
    rows = [{"question": f"What is the capital of {c}?", "target": t} for c, t in CAPITALS.items()]
    (tmp_path / "capitals.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_from_questions_to_a_report(folder: Path) -> None:
    assert run("collect", "--train", "4", "--test", "2", "--json", "collected.json") == 0
    collected = facts("collected.json")
    assert (collected["done"], collected["failed"], collected["unpriced"]) == (36, 0, 0)
    assert collected["spent_usd"] > 0
    assert run("collect", "--train", "4", "--test", "2", "--json", "again.json") == 0
    assert facts("again.json")["done"] == 0

    assert run("score", "--json", "scored.json") == 0
    assert facts("scored.json")["scored"] == 36
    with Store("runs.db") as store:
        table = store.table()
        outcomes = list(store.outcomes())
    assert table.arm_names == (MODEL, f"{MODEL}|think")
    assert len(table) == 18
    assert table.cost_basis == "measured"
    assert {outcome.finish_reason for outcome in outcomes} <= {"stop", "length"}
    by_task = table.queries["task"].to_list()
    capitals = [table.quality[i, 0] for i, task in enumerate(by_task) if task == "capitals"]
    assert sum(capitals) >= 3, "SmolLM2 knows most of these capitals"

    assert run("judge", "--model", MODEL, "--limit", "4", "--json", "judged.json") in {0, 1}
    assert run("evaluate", "runs.db", "--router", "knn,task", "--scenario", "performance",
               "--json", "evaluation.json") == 0  # fmt: skip
    rows = {row["router"] for row in facts("evaluation.json")["scenarios"]["performance"]}
    assert {"knn", "task", "best_single", "oracle"} <= rows
    assert run("report", "evaluation.json", "--out", "report.html") == 0
    assert "<html" in (folder / "report.html").read_text()[:200]
