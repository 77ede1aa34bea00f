"""FusionBench: its table, its router JSON, and the mistakes of the code released with it."""

from __future__ import annotations

import json
import sys
import types
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import FormatError, MissingExtraError
from fusionfactory.importers import import_table
from fusionfactory.layout import THINK_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

HEADER = (
    "task_name,task_id,task_description,task_description_embedding,query,query_embedding,"
    "ground_truth,metric,llm,input_price,output_price,input_tokens_num,output_tokens_num,"
    "performance,cost,response,llm_description\n"
)


def line(query: str, llm: str, performance: object = 1.0, **given: object) -> dict[str, object]:
    """One row in FusionBench's schema."""
    return {
        "task_name": "gsm8k",
        "task_id": None,
        "task_description": "Grade school mathematics.",
        "task_description_embedding": "tensor([0.1, 0.2])",
        "query": query,
        "query_embedding": "tensor([__import__('os').abort()])",
        "ground_truth": "18",
        "metric": "em",
        "llm": llm,
        "input_price": 0.2,
        "output_price": 0.2,
        "input_tokens_num": 100,
        "output_tokens_num": 50,
        "performance": performance,
        "cost": 30.0,
        "response": "18",
        "llm_description": f"{llm} is a model.",
    } | given


def read(tmp_path: Path, *lines: dict[str, object], suffix: str = ".csv") -> OutcomeTable:
    frame = pl.DataFrame(list(lines), strict=False, infer_schema_length=None)
    path = tmp_path / f"data{suffix}"
    if suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return import_table("fusionbench", path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_become_cells_and_costs_usd(tmp_path: Path, suffix: str) -> None:
    rows = [
        line(q, llm, p) for q, llm, p in (("a?", "m1", 1.0), ("a?", "m2", 0.5), ("b?", "m1", 0.0))
    ]
    table = read(tmp_path, *rows, suffix=suffix)
    assert table.arm_names == ("m1", "m2")
    assert table.texts == ["a?", "b?"]
    np.testing.assert_array_equal(table.quality, [[1.0, 0.5], [0.0, np.nan]])
    assert table.cost_usd[0, 0] == pytest.approx(30e-6)
    assert table.input_tokens[0, 1] == 100
    assert table.arms[0].input_price == 0.2
    assert table.arms[0].description == "m1 is a model."
    assert table.queries["metric"].to_list() == ["em", "em"]
    assert table.queries["target"].to_list() == ["18", "18"]


def test_an_empty_response_and_a_gap_shift_nothing(tmp_path: Path) -> None:
    queries, llms = [f"q{i}?" for i in range(6)], ["m1", "m2", "m3"]
    quality = {(q, m): (i * 3 + j) / 20 for i, q in enumerate(queries) for j, m in enumerate(llms)}
    gaps = {("q0?", "m2"), ("q3?", "m1")}
    rows = [
        line(q, m, p, response="" if (q, m) == ("q1?", "m3") else "text")
        for (q, m), p in quality.items()
        if (q, m) not in gaps
    ]
    table = read(tmp_path, *rows[::-1], suffix=".parquet")
    for i, q in enumerate(table.texts):
        for j, m in enumerate(table.arm_names):
            if (q, m) in gaps:
                assert np.isnan(table.quality[i, j])
            else:
                assert table.quality[i, j] == quality[q, m]
    assert table.responses is not None
    assert table.responses[table.texts.index("q1?"), table.arm_names.index("m3")] == ""


def test_think_rows_join_the_direct_rows_by_text(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        line("a?" + THINK_SUFFIX, "m_think", 0.25),
        line("b?", "m", 0.5),
        line("b? Let's think step by step", "m_think", 0.75),
        line("a?", "m", 1.0),
        line("c?" + THINK_SUFFIX, "m_think", 0.125),
    )
    assert sorted(table.texts) == ["a?", "b?", "c?"]
    found = {
        (q, a): table.quality[i, j]
        for i, q in enumerate(table.texts)
        for j, a in enumerate(table.arm_names)
    }
    assert found["a?", "m|think"] == 0.25
    assert found["b?", "m|think"] == 0.75
    assert found["a?", "m"] == 1.0
    assert np.isnan(found["c?", "m"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'pass@1': np.float64(1.0)}", 1.0),
        ("{'pass@1': 0.25}", 0.25),
        ('{"f1": np.float64(1e-1)}', 0.1),
        ("0.5", 0.5),
        ("", np.nan),
        ("nan", np.nan),
    ],
)
def test_scores_written_as_text(tmp_path: Path, text: str, value: float) -> None:
    table = read(tmp_path, line("a?", "m", text), line("b?", "m", "1"))
    np.testing.assert_equal(table.quality[0, 0], value)


@pytest.mark.parametrize(
    "text", ["{'a': 1.0, 'b': 0.0}", "__import__('os').abort()", "yes", "{1: 1}"]
)
def test_other_score_texts_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        FormatError, match=r"data\.csv, row 2, field 'performance': .* is no number"
    ):
        read(tmp_path, line("a?", "m", "1"), line("b?", "m", text))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"performance": 1.5}, r"row 2, field 'performance': 1\.5 must lie in \[0, 1\]"),
        ({"cost": -1.0}, r"row 2, field 'cost': -1\.0 must be finite and not negative"),
        ({"cost": "inf"}, r"row 2, field 'cost': inf must be finite and not negative"),
        ({"cost": "free"}, r"row 2, field 'cost': 'free' is no number"),
        ({"llm": None}, "row 2, field 'llm': None is empty"),
        ({"llm": "_think"}, "row 2, field 'llm': '_think' names no model"),
        ({"query": None}, "row 2, field 'query': None is empty"),
        ({"query": "a?"}, "row 2: duplicate cell: arm 'm' already answered query .* in row 1"),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=rf"data\.csv, {message}"):
        read(tmp_path, line("a?", "m"), line("b?", "m") | change)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("task_name,query\nt,q\n")
    with pytest.raises(
        FormatError, match=r"x\.csv, field 'llm': missing; .* found task_name, query"
    ):
        import_table("fusionbench", path)


def test_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(HEADER)
    with pytest.raises(FormatError, match=r"x\.csv: the table has no rows"):
        import_table("fusionbench", path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"task_name,query,llm\nt,q,m\nt,q2,m,extra\n", r"row 2: cannot be read as csv"),
        (b"task_name,query,llm\nt,q,m\nt,\xff\xfe,m\n", r"row 2: cannot be read as csv"),
    ],
)
def test_a_broken_csv(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message):
        import_table("fusionbench", path)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("\ufefftask_name,query,llm,performance\nt,q,m,1\n".encode())
    assert import_table("fusionbench", path).quality[0, 0] == 1.0


def test_a_truncated_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame([line("a?", "m")]).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        FormatError, match=r"x\.parquet: cannot be read as parquet .* is it complete"
    ):
        import_table("fusionbench", path)


class FakeDataset:
    """As much of `datasets.Dataset` as the importer uses."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.column_names = frame.columns

    def select_columns(self, names: list[str]) -> FakeDataset:
        return FakeDataset(self.frame.select(names))

    def to_polars(self) -> pl.DataFrame:
        return self.frame


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load_dataset(name: str) -> dict[str, FakeDataset]:
        asked.append(name)
        return {
            "train": FakeDataset(pl.DataFrame([line("a?", "m", "{'pass@1': np.float64(1.0)}")])),
            "test": FakeDataset(pl.DataFrame([line("b?", "m", 0.5)])),
        }

    module = types.ModuleType("datasets")
    module.__dict__["load_dataset"] = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    table = import_table("auto", "hf:ulab-ai/FusionBench")
    assert asked == ["ulab-ai/FusionBench"]
    np.testing.assert_array_equal(table.quality, [[1.0], [0.5]])
    assert table.queries["split"].to_list() == ["train", "test"]


def test_the_hub_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"fusionfactory\[hub\]"):
        import_table("fusionbench", "hf:ulab-ai/FusionBench")


def write_router(tmp_path: Path, items: object) -> Path:
    path = tmp_path / "router.json"
    path.write_text(json.dumps(items))
    return path


def test_router_json(tmp_path: Path) -> None:
    items = [
        {
            "query": "a?",
            "ground_truth": ["x", "y"],
            "candidates": [
                {"candidate_name": "m1", "performance": 1.0, "cost": 12.5, "score": 0.3},
                {"candidate_name": "m2", "performance": None, "cost": 1.0, "score": 0.0},
            ],
        },
        {"query": "b?", "candidates": [{"candidate_name": "m2", "performance": 0.5, "cost": 2.0}]},
    ]
    table = import_table("fusionbench-router", write_router(tmp_path, items), task="t")
    np.testing.assert_array_equal(table.quality, [[1.0, np.nan], [np.nan, 0.5]])
    assert table.cost_usd[0, 0] == pytest.approx(12.5e-6)
    assert table.queries["target"].to_list() == ['["x", "y"]', None]
    assert list(table.tasks) == ["t", "t"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{"query": "a?"}], "row 1, field 'candidates': missing; found query"),
        ([{"query": "a?", "candidates": 3}], "row 1, field 'candidates': is no list of objects"),
        ([{"query": "a?", "candidates": [{}]}], "row 1, field 'candidate_name': missing"),
        ([{"candidates": []}], "row 1, field 'query': missing"),
        ([3], "row 1: holds a int, expected an object"),
        ({}, "holds a dict, expected a list of objects"),
        ([], "holds no outcomes"),
        (
            [{"query": "a?", "candidates": [{"candidate_name": "m", "performance": "good"}]}],
            "row 1, field 'performance': 'good' is no number",
        ),
        (
            [{"query": "a?", "candidates": [{"candidate_name": "m", "performance": 2}]}],
            r"row 1, field 'performance': 2\.0 must lie in \[0, 1\]",
        ),
        (
            [{"query": "a?", "candidates": [{"candidate_name": "m"}, {"candidate_name": "m"}]}],
            "row 1: duplicate cell",
        ),
    ],
)
def test_router_json_faults(tmp_path: Path, items: object, message: str) -> None:
    with pytest.raises(FormatError, match=rf"router\.json(, |: ){message}"):
        import_table("fusionbench-router", write_router(tmp_path, items))
