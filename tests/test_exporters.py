"""Tables out and in again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import ConfigError, UnknownNameError
from fusionfactory.exporters import EXPORTERS, export_table
from fusionfactory.exporters.routerbench import oracle_arms
from fusionfactory.importers import import_table
from fusionfactory.table import CELLS, OutcomeTable
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def table() -> OutcomeTable:
    """Three queries by three arms, every field in use and every kind of gap."""
    nan = np.nan
    queries = pl.DataFrame(
        {
            "query_id": ["gsm8k:1", "gsm8k:2", "mmlu:x"],
            "query": ["Eggs?\n", "Lines\nand, \"quotes\" | 'bars'", "Ünïcode – 你好?"],
            "task": ["gsm8k", "gsm8k", "mmlu"],
            "domain": [None, None, "law"],
            "target": ["18", None, "B"],
            "metric": ["number", None, "choice"],
            "split": ["train", "test", None],
            "description": ["Grade school.", "Grade school.", None],
        }
    )
    arms = (
        Arm("small", input_price=0.1, output_price=0.3, description="A small model."),
        Arm("small", "think", input_price=0.1, output_price=0.3),
        Arm("big", "thought:3"),
    )
    return OutcomeTable(
        queries,
        arms,
        quality=np.array([[1.0, 0.0, nan], [0.0, nan, nan], [0.25, 0.25, 1.0]]),
        judge=np.array([[0.5, nan, nan], [nan, nan, nan], [nan, nan, 0.1]]),
        cost_usd=np.array([[1e-6, 2.5e-5, nan], [1e-6, nan, nan], [3e-6, 2e-6, 0.0012]]),
        input_tokens=np.array([[10.0, 10, nan], [nan, nan, nan], [nan, nan, 5]]),
        output_tokens=np.array([[3.0, 90, nan], [nan, nan, nan], [nan, nan, 4]]),
        latency_s=np.array([[0.5, nan, nan], [nan, nan, nan], [nan, nan, 2.25]]),
        responses=np.array([["18", "", None], [None, None, None], ["A", "[1]", "B"]], dtype=object),
    )


@pytest.mark.parametrize(
    ("name", "file"),
    [("fusionbench", "t.parquet"), ("fusionbench", "t.csv"), ("llmrouter", "folder")],
)
def test_round_trip_keeps_everything(
    table: OutcomeTable, tmp_path: Path, name: str, file: str
) -> None:
    export_table(name, table, tmp_path / file)
    again = import_table(name, tmp_path / file)
    assert again.fingerprint() == table.fingerprint()
    assert again.arm_names == table.arm_names
    assert again.texts == table.texts
    np.testing.assert_array_equal(again.quality, table.quality)


@pytest.mark.parametrize("file", ["t.csv", "t.parquet"])
def test_routerbench_keeps_quality_cost_and_responses(
    table: OutcomeTable, tmp_path: Path, file: str
) -> None:
    export_table("routerbench", table, tmp_path / file)
    again = import_table("routerbench", tmp_path / file)
    assert again.arm_names == table.arm_names
    assert again.queries["query_id"].to_list() == table.queries["query_id"].to_list()
    assert again.texts == table.texts
    np.testing.assert_array_equal(again.quality, table.quality)
    np.testing.assert_allclose(again.cost_usd, table.cost_usd)
    assert again.responses is not None
    assert table.responses is not None
    assert again.responses.tolist() == table.responses.tolist()
    assert not again.has_judge


def test_routerbench_oracle(table: OutcomeTable, tmp_path: Path) -> None:
    assert oracle_arms(table) == ["small", "no_model_correct", "big|thought:3"]
    tied = np.array([[1.0, 1.0, np.nan], [np.nan] * 3, [0.5, 0.5, 0.5]])
    assert oracle_arms(with_quality(table, tied)) == ["small", None, "small|think"]
    export_table("routerbench", table, tmp_path / "t.csv")
    written = pl.read_csv(tmp_path / "t.csv")["oracle_model_to_route_to"].to_list()
    assert written == oracle_arms(table)


def with_quality(table: OutcomeTable, quality: np.ndarray) -> OutcomeTable:
    cells = {name: getattr(table, name) for name in CELLS} | {"quality": quality}
    return OutcomeTable(table.queries, table.arms, **cells)


def test_llmrouter_files_have_its_fields(table: OutcomeTable, tmp_path: Path) -> None:
    export_table("llmrouter", table, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"query_data.jsonl", "routing_data.jsonl", "llm_candidates.json"}
    queries = [json.loads(x) for x in (tmp_path / "query_data.jsonl").read_text().splitlines()]
    assert [q["query"] for q in queries] == table.texts
    assert {"task_name", "query", "ground_truth", "metric", "choices", "task_id"} <= queries[
        0
    ].keys()
    routing = [json.loads(x) for x in (tmp_path / "routing_data.jsonl").read_text().splitlines()]
    assert routing[1]["model_name"] == "small_think"
    assert routing[1]["query"] == table.texts[0]
    assert routing[1]["token_num"] == 100
    assert {row["embedding_id"] for row in routing} == {0, 1, 2}
    llms = json.loads((tmp_path / "llm_candidates.json").read_text())
    assert llms["small"]["output_price"] == 0.3
    assert list(llms) == ["small", "small_think", "big|thought:3"]


def test_unknown_exporter_and_ending(table: OutcomeTable, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown exporter 'excel'; known: fusionbench, llm"):
        export_table("excel", table, tmp_path / "t.xlsx")
    for name in ("fusionbench", "routerbench"):
        with pytest.raises(ConfigError, match=r"'t\.xlsx' ends in neither \.csv nor \.parquet"):
            export_table(name, table, tmp_path / "t.xlsx")


def test_a_failed_write_leaves_the_old_file(
    table: OutcomeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")

    def fail(_frame: pl.DataFrame, target: Path) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", fail)
    with pytest.raises(OSError, match="No space left"):
        export_table("fusionbench", table, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_every_exporter_has_an_importer() -> None:
    assert EXPORTERS.names() == ["fusionbench", "llmrouter", "routerbench"]
