"""The FusionBench layout: what it accepts, how it pairs think rows, and what it says of faults."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import FormatError, TableError
from fusionfactory.layout import THINK_SUFFIX, Origin, micro_usd, to_fusionbench, to_long


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    base = {"task_name": "t", "query": "q?", "llm": "m", "performance": 1.0}
    return pl.DataFrame([base | row for row in rows], infer_schema_length=None)


@pytest.mark.parametrize(
    ("llm", "arm", "model", "strategy"),
    [
        ("m", "m", "m", "direct"),
        ("m_think", "m|think", "m", "think"),
        ("m|think", "m|think", "m", "think"),
        ("m|thought:3", "m|thought:3", "m", "thought:3"),
        ("m|direct", "m", "m", "direct"),
        ("m|", "m", "m", "direct"),
        ("m_think|direct", "m_think", "m_think", "direct"),
        ("m_think|think", "m_think|think", "m_think", "think"),
        ("m|re_think", "m|re_think", "m", "re_think"),
        ("m|a|b", "m|a|b", "m", "a|b"),
        ("org/m-7B_v2", "org/m-7B_v2", "org/m-7B_v2", "direct"),
    ],
)
def test_names_of_arms(llm: str, arm: str, model: str, strategy: str) -> None:
    long = to_long(frame({"llm": llm}))
    assert long.select("arm", "model", "strategy").row(0) == (arm, model, strategy)
    again = to_long(to_fusionbench(long))
    assert again.select("arm", "model", "strategy").row(0) == (arm, model, strategy)


@pytest.mark.parametrize("llm", ["", "  ", "_think", "|think", "|", None])
def test_names_of_no_arm(llm: str | None) -> None:
    with pytest.raises(TableError, match=r"row 2, field 'llm': .* (is empty|names no model)"):
        to_long(frame({}, {"llm": llm, "query": "other"}))


@pytest.mark.parametrize(
    ("direct", "think"),
    [
        ("a?", "a?" + THINK_SUFFIX),
        ("a?", "a? Let's think step by step"),
        ("a?", "a?\n\nLET’S THINK STEP BY STEP!"),
        ("a? \n", "a? \n" + THINK_SUFFIX),
        ("a? \n", "a? Let's think step by step."),
        ("a?", "a?"),
        ("a? Let's think step by step.", "a? Let's think step by step."),
        ("a? Let's think step by step.", "a? Let's think step by step." + THINK_SUFFIX),
    ],
)
@pytest.mark.parametrize("swap", [False, True])
def test_think_rows_belong_to_the_direct_rows_query(direct: str, think: str, *, swap: bool) -> None:
    rows = [{"query": direct, "llm": "m"}, {"query": think, "llm": "m_think"}]
    long = to_long(frame(*(rows[::-1] if swap else rows), {"query": "b?", "llm": "m"}))
    of_query = long.filter(pl.col("query") == direct)
    assert sorted(of_query["arm"]) == ["m", "m|think"]
    assert of_query["query_id"].n_unique() == 1
    assert long["query_id"].n_unique() == 2


def test_a_query_and_its_longer_twin_stay_apart() -> None:
    short, twin = "a?", "a?" + THINK_SUFFIX
    long = to_long(
        frame(
            {"query": short, "llm": "m"},
            {"query": twin, "llm": "m"},
            {"query": short + THINK_SUFFIX, "llm": "m_think"},
            {"query": twin + THINK_SUFFIX, "llm": "m_think"},
        )
    )
    assert long["query"].to_list() == [short, twin, short, twin]


def test_equal_texts_of_two_tasks_are_two_queries() -> None:
    long = to_long(frame({"task_name": "t"}, {"task_name": "u"}))
    assert long["query_id"].n_unique() == 2


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        ([("t", "1", "a?"), ("t", "2", "b?")], ["t:1", "t:2"]),
        ([("t", "1", "a?"), ("t", None, "a?")], ["t:1", "t:1"]),
        ([("t", "1", "a?"), ("t", "2", "a?")], ["t:1", "t:2"]),
    ],
)
def test_query_ids(rows: list[tuple[str, str | None, str]], ids: list[str]) -> None:
    names = ("task_name", "task_id", "query")
    given = [dict(zip(names, row, strict=True)) | {"llm": f"m{i}"} for i, row in enumerate(rows)]
    assert to_long(frame(*given))["query_id"].to_list() == ids


@pytest.mark.parametrize(
    "rows",
    [
        [("t", "1", "a?"), ("t", "1", "b?")],  # one id, two texts
        [("t", None, "a?"), ("t", None, "b?")],
        [("a", "b:c", "x?"), ("a:b", "c", "y?")],  # two pairs, one joined name
        [("a", "b:c", "x?"), ("a:b", "c", "x?")],
    ],
)
def test_query_ids_never_join_two_queries(rows: list[tuple[str, str | None, str]]) -> None:
    names = ("task_name", "task_id", "query")
    ids = to_long(frame(*(dict(zip(names, row, strict=True)) for row in rows)))["query_id"]
    assert ids.n_unique() == 2
    again = to_long(
        to_fusionbench(to_long(frame(*(dict(zip(names, row, strict=True)) for row in rows))))
    )
    assert again["query_id"].to_list() == ids.to_list()


def test_given_query_ids() -> None:
    rows: list[dict[str, Any]]
    rows = [{"query_id": "x", "query": "a?"}, {"query_id": None, "query": "b?", "task_id": "7"}]
    assert to_long(frame(*rows))["query_id"].to_list() == ["x", "t:7"]
    with pytest.raises(TableError, match="row 2, field 'query_id': 'x' stands for two texts"):
        to_long(frame({"query_id": "x", "query": "a?"}, {"query_id": "x", "query": "b?"}))


def test_costs_are_micro_usd_or_usd() -> None:
    long = to_long(frame({"cost": 2.0}, {"cost_usd": 0.5, "cost": 1.0, "llm": "n"}, {"llm": "o"}))
    assert long["cost_usd"].to_list() == [2e-6, 0.5, None]


def test_micro_usd_survives_the_way_there_and_back() -> None:
    rng = np.random.default_rng(0)
    costs = 10 ** rng.uniform(-12, 3, 20_000)
    micro = micro_usd(costs)
    np.testing.assert_array_equal(micro_usd(micro / 1e6), micro)
    np.testing.assert_allclose(micro / 1e6, costs, atol=1e-12)


def test_nan_is_missing_and_text_numbers_are_numbers() -> None:
    long = to_long(frame({"performance": "0.5", "cost": "nan", "latency_s": ""}))
    assert long.select("quality", "cost_usd", "latency_s").row(0) == (0.5, None, None)


def test_numbers_as_names_and_categories_are_texts() -> None:
    given = frame({"task_id": 7}).with_columns(pl.col("llm").cast(pl.Categorical))
    assert to_long(given).select("query_id", "arm").row(0) == ("t:7", "m")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("performance", 1.01, r"row 2, field 'performance': 1\.01 must lie in \[0, 1\]"),
        ("performance", -0.01, r"row 2, field 'performance': -0\.01 must lie"),
        ("performance", float("inf"), "row 2, field 'performance': inf must lie"),
        ("llm_judge", 9.0, r"row 2, field 'llm_judge': 9\.0 must lie"),
        ("cost", -1.0, r"row 2, field 'cost': -1\.0 must be finite and not negative"),
        ("cost", float("inf"), "row 2, field 'cost': inf must be finite"),
        ("cost_usd", -1.0, "row 2, field 'cost_usd': -1.0 must be finite"),
        ("input_price", -0.1, "row 2, field 'input_price'"),
        ("output_tokens_num", -5, "row 2, field 'output_tokens_num'"),
        ("latency_s", float("-inf"), "row 2, field 'latency_s': -inf"),
        ("performance", "good", "row 2, field 'performance': 'good' is no number"),
        ("performance", [1.0], "field 'performance': has type List"),
        ("performance", True, "field 'performance': has type Boolean, expected a number"),
        ("cost", dt.date(2025, 1, 1), "field 'cost': has type Date, expected a number"),
        ("response", ["x"], "field 'response': has type List.*, expected text"),
        ("query", None, "row 2, field 'query': None is empty"),
        ("task_name", None, "row 2, field 'task_name': None is empty"),
    ],
)
def test_faults_name_row_and_field(column: str, value: object, message: str) -> None:
    first = "first" if column in {"query", "task_name"} else None
    rows: list[dict[str, Any]]
    rows = [{column: first, "llm": "a"}, {column: value, "llm": "b"}]
    with pytest.raises(TableError, match=rf"^data\.parquet, {message}"):
        to_long(frame(*rows), source="data.parquet")


def test_a_missing_column_lists_what_is_there() -> None:
    with pytest.raises(
        TableError, match="field 'query': missing; the columns task_name, query, llm"
    ):
        to_long(frame({}).drop("query"))
    with pytest.raises(TableError, match=r"^x: the table has no rows"):
        to_long(frame({}).clear(), source="x")


def test_an_origin_names_the_users_file_row_and_field() -> None:
    origin = Origin(
        "folder",
        files=pl.Series(["a.json", "b.json"]),
        rows=pl.Series([10, 20]),
        fields={"performance": "score"},
        error=FormatError,
    )
    with pytest.raises(FormatError, match=r"^b\.json, row 20, field 'score': 7\.0 must lie"):
        to_long(frame({}, {"performance": 7.0, "llm": "n"}), source=origin)


def test_the_written_layout_is_the_published_one() -> None:
    written = to_fusionbench(to_long(frame({"task_id": "1", "input_tokens_num": 3})))
    assert written.columns == [
        "task_name", "task_id", "task_description", "domain", "query", "ground_truth", "metric",
        "split", "llm", "llm_description", "input_price", "output_price", "input_tokens_num",
        "output_tokens_num", "performance", "llm_judge", "cost", "latency_s", "response",
    ]  # fmt: skip
    assert written["input_tokens_num"].dtype == pl.Int64


def test_tokens_that_are_means_stay_fractions() -> None:
    written = to_fusionbench(to_long(frame({"input_tokens_num": 3.5})))
    assert written["input_tokens_num"].to_list() == [3.5]
