"""LLMRouter, RouterDC, RouterArena and LLMRouterBench, in their own schemas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionfactory.errors import FormatError
from fusionfactory.importers import import_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

LLMS = {
    "qwen2.5-7b-instruct": {
        "size": "7B",
        "feature": "A small model.",
        "input_price": 0.2,
        "output_price": 0.4,
        "model": "qwen/qwen2.5-7b-instruct",
    }
}


def write_lines(path: Path, items: Iterable[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def write_json(path: Path, item: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(item))
    return path


def routed(query: str, model: str = "qwen2.5-7b-instruct", **given: object) -> dict[str, Any]:
    return {
        "task_name": "gsm8k",
        "query": query,
        "ground_truth": "18",
        "metric": "GSM8K",
        "choices": None,
        "task_id": None,
        "model_name": model,
        "response": "It is 18.",
        "token_num": 150,
        "input_tokens": 100,
        "output_tokens": 50,
        "response_time": 1.5,
        "performance": 1.0,
        "embedding_id": 3,
    } | given


def test_llmrouter_with_prices(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "routing.jsonl", [routed("a?"), routed("a?", "other", performance=None)]
    )
    llms = write_json(tmp_path / "llm.json", LLMS)
    table = import_table("llmrouter", path, llms=llms)
    np.testing.assert_array_equal(table.quality, [[1.0, np.nan]])
    assert table.cost_usd[0, 0] == pytest.approx((100 * 0.2 + 50 * 0.4) / 1e6)
    assert np.isnan(table.cost_usd[0, 1])
    assert table.latency_s[0, 0] == 1.5
    assert table.arms[0].output_price == 0.4
    assert table.arms[0].description == "A small model."


def test_llmrouter_older_names(tmp_path: Path) -> None:
    old = {
        "query": "a?",
        "gt": "18",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "model_name": "m",
        "performance": 0.5,
    }
    table = import_table("llmrouter", write_lines(tmp_path / "r.jsonl", [old]), task="t")
    assert table.queries["target"][0] == "18"
    assert table.input_tokens[0, 0] == 10
    assert table.output_tokens[0, 0] == 5
    assert list(table.tasks) == ["t"]


def test_llmrouter_folder(tmp_path: Path) -> None:
    write_lines(tmp_path / "default_routing_train_data.jsonl", [routed("a?", metric=None)])
    write_lines(tmp_path / "default_routing_test_data.jsonl", [routed("b?")])
    write_lines(tmp_path / "default_query_train.jsonl", [{"query": "a?", "metric": "em_mc"}])
    write_json(tmp_path / "default_llm.json", LLMS)
    table = import_table("auto", tmp_path)
    splits = dict(zip(table.texts, table.queries["split"], strict=True))
    assert splits == {"a?": "train", "b?": "test"}
    metrics = dict(zip(table.texts, table.queries["metric"], strict=True))
    assert metrics == {"a?": "em_mc", "b?": "GSM8K"}
    assert table.has_costs


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [routed("a?"), routed("b?", performance="good")],
            "row 2, field 'performance': 'good' is no n",
        ),
        ([{"query": "a?", "task_name": "t"}], "row 1, field 'model_name': missing; .* no outcomes"),
        ([routed("a?") | {"query": None}], "row 1, field 'query': is null"),
        ([routed("a?"), routed("a?")], "row 2: duplicate cell: arm 'qwen.*' already .* in row 1"),
        ([routed("a?", response_time=-1)], "row 1, field 'response_time': -1.0 must be finite"),
        ([routed("a?", performance=[1])], r"row 1, field 'performance': \[1\] is no number"),
        ([routed("a?", "|x")], r"row 1, field 'model_name': '\|x' names no model"),
        ([], "the file is empty"),
        (["text"], "row 1: holds a str, expected an object"),
    ],
)
def test_llmrouter_faults(tmp_path: Path, lines: list[object], message: str) -> None:
    path = write_lines(tmp_path / "r.jsonl", lines)
    with pytest.raises(FormatError, match=rf"r\.jsonl(, |: ){message}"):
        import_table("llmrouter", path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"query": "a?", "model_name": "m"}\n\n{"query": ', "row 3: is no JSON: .* complete"),
        (
            '{"query": "a?", "model_name": "m"}\n{"query": "\udcff"}',
            "row 2: is no JSON line: Unicode",
        ),
    ],
)
def test_broken_lines(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(FormatError, match=message):
        import_table("llmrouter", path)


def test_half_a_character_in_a_response_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"query": "a?", "model_name": "m", "response": "x\\ud83d"}')
    table = import_table("llmrouter", path)
    assert table.responses is not None
    assert table.responses[0, 0] == "x?"


def test_a_folder_without_routing_data(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no routing data"):
        import_table("llmrouter", tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {"m": 3}])
def test_llm_json_of_another_shape(tmp_path: Path, content: object) -> None:
    path = write_lines(tmp_path / "r.jsonl", [routed("a?")])
    with pytest.raises(FormatError, match=r"llm\.json: expected an object of LLM name"):
        import_table("llmrouter", path, llms=write_json(tmp_path / "llm.json", content))


def test_routerdc(tmp_path: Path) -> None:
    items = [
        {"question": "a?", "scores": {"m1": 1, "m2": None}, "cluster_id": 0},
        {"question": "b?", "scores": {"m2": 0.25}, "cluster_id": 4},
    ]
    table = import_table("auto", write_json(tmp_path / "dc.json", items))
    np.testing.assert_array_equal(table.quality, [[1.0, np.nan], [np.nan, 0.25]])
    assert table.cost_basis == "missing"
    assert table.queries["task"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"question": "a?", "scores": [1]}, "row 1, field 'scores': is a list, expected an object"),
        ({"scores": {}}, "row 1, field 'question': missing"),
        (
            {"question": "a?", "scores": {"m": 7}},
            r"row 1, field 'scores': 7\.0 must lie in \[0, 1\]",
        ),
    ],
)
def test_routerdc_faults(tmp_path: Path, item: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        import_table("routerdc", write_json(tmp_path / "dc.json", [item]))


def cached(index: str, model: str = "gpt-4o-mini", **given: object) -> dict[str, Any]:
    return {
        "global_index": index,
        "question": f"Question {index}",
        "llm_selected": model,
        "generated_answer": "B",
        "token_usage": {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12},
        "success": True,
        "provider": "openai",
        "error": None,
        "evaluation_result": {
            "extracted_answer": "B",
            "ground_truth": "B",
            "score": 1.0,
            "metric": "mcq_accuracy",
            "inference_cost": 3e-06,
        },
        "run_number": 1,
    } | given


def predicted(index: str, model: str, **given: object) -> dict[str, Any]:
    return {
        "global index": index,
        "prompt": f"Question {index}",
        "prediction": model,
        "generated_result": {
            "generated_answer": "C",
            "success": True,
            "token_usage": {"input_tokens": 20, "output_tokens": 4, "total_tokens": 24},
            "provider": "p",
            "error": None,
        },
        "cost": 5e-06,
        "accuracy": 0.5,
    } | given


def test_routerarena_cached_results(tmp_path: Path) -> None:
    folder = tmp_path / "cached_results"
    failed = cached("AIME_2", success=False, error="timeout", generated_answer="")
    again = cached("AIME_1", run_number=2, evaluation_result={"score": 0.0})
    write_lines(folder / "gpt-4o-mini.jsonl", [again, cached("AIME_1"), failed])
    write_lines(folder / "claude.jsonl", [cached("ArcMMLU_655", "claude")])
    prices = {"claude": {"input_token_price_per_million": 3, "output_token_price_per_million": 15}}
    table = import_table("auto", tmp_path, prices=write_json(tmp_path / "cost.json", prices))
    cells = as_dict(table)
    assert cells["AIME:AIME_1", "gpt-4o-mini"] == 1.0
    assert np.isnan(cells["AIME:AIME_2", "gpt-4o-mini"])
    assert cells["ArcMMLU:ArcMMLU_655", "claude"] == 1.0
    assert table.arms[table.arm_names.index("claude")].input_price == 3
    assert table.cost_usd[0, 0] == pytest.approx(3e-6)


def as_dict(table: OutcomeTable) -> dict[tuple[str, str], float]:
    return {
        (q, a): float(table.quality[i, j])
        for i, q in enumerate(table.queries["query_id"])
        for j, a in enumerate(table.arm_names)
    }


def test_routerarena_predictions(tmp_path: Path) -> None:
    items = [
        predicted("AIME_1", "m1"),
        predicted("AIME_2", "m2", generated_result=None, accuracy=None),
    ]
    path = write_json(tmp_path / "mine.json", items)
    cells = as_dict(import_table("auto", path))
    assert cells["AIME:AIME_1", "m1"] == 0.5
    assert np.isnan(cells["AIME:AIME_2", "m2"])
    write_lines(tmp_path / "cached" / "m2.jsonl", [cached("AIME_1", "m2"), cached("AIME_3", "m2")])
    both = as_dict(import_table("routerarena", path, cached_results=tmp_path / "cached"))
    assert both["AIME:AIME_1", "m2"] == 1.0
    assert both["AIME:AIME_1", "m1"] == 0.5
    assert np.isnan(both["AIME:AIME_3", "m1"])


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (predicted("A_1", "m") | {"prediction": None}, "row 1, field 'prediction': is null"),
        ({"prediction": "m"}, "row 1, field 'global index'"),
        (
            predicted("A_1", "m", generated_result=4),
            "field 'generated_result': is a int, expected an",
        ),
        (predicted("A_1", "m", accuracy=1.5), r"field 'accuracy': 1\.5 must lie in \[0, 1\]"),
    ],
)
def test_routerarena_faults(tmp_path: Path, item: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        import_table("routerarena", write_json(tmp_path / "p.json", [item]))


def test_routerarena_other_faults(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="holds no cached results"):
        import_table("routerarena", tmp_path / "empty")
    path = write_lines(tmp_path / "m.jsonl", [cached("A_1")])
    with pytest.raises(FormatError, match=r"cost\.json: expected an object of model to"):
        import_table("routerarena", path, prices=write_json(tmp_path / "cost.json", []))


def run(
    model: str = "m", dataset: str = "aime", split: str = "test", **given: object
) -> dict[str, Any]:
    record = {
        "index": 1,
        "origin_query": "a?",
        "prompt": "Answer: a?",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cost": 0.001,
        "score": 1.0,
        "prediction": "18",
        "ground_truth": "18",
        "raw_output": "It is 18.",
    }
    records = [
        record,
        record | {"index": 2, "origin_query": "b?", "score": None, "raw_output": ["x"]},
    ]
    return {
        "performance": 1.0,
        "model_name": model,
        "dataset_name": dataset,
        "split": split,
        "demo": False,
        "records": records,
    } | given


def test_llmrouterbench(tmp_path: Path) -> None:
    bench = tmp_path / "results" / "bench" / "aime" / "test" / "m"
    other = run()
    other["records"][0]["score"] = 0.25
    write_json(bench / "aime-test-m-20250102_000000.json", run())
    write_json(bench / "aime-test-m-20240102_000000.json", other)
    write_json(bench / "aime-test-m-20260102_000000.json", other | {"demo": True})
    write_json(bench.parent / "n" / "aime-test-n-20250102_000000.json", run("n"))
    write_json(tmp_path / "results" / "notes.json", {"about": "nothing"})
    table = import_table("llmrouterbench", tmp_path)
    np.testing.assert_array_equal(table.quality, [[1.0, 1.0], [np.nan, np.nan]])
    assert table.cost_usd[1, 1] == pytest.approx(0.001)
    assert table.queries["query_id"].to_list() == ["aime:1", "aime:2"]
    assert table.queries["split"].to_list() == ["test", "test"]
    assert table.responses is not None
    assert table.responses[0, 0] == "It is 18."
    assert table.responses[1, 0] == "18"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"records": []}, r"run\.json, row 1, field 'dataset_name': missing"),
        (run(records=3), r"run\.json, field 'records': is no list of objects"),
        (run(records=[{"index": 1}]), r"run\.json, row 1, field 'origin_query': missing"),
        (
            run(records=[{"index": 1, "origin_query": "a", "cost": -1}]),
            "row 1, field 'cost': -1.0 must",
        ),
        ([], r"run\.json, field 'records': missing"),
        (run(records=[]), "holds no outcomes"),
    ],
)
def test_llmrouterbench_faults(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        import_table("llmrouterbench", write_json(tmp_path / "run.json", content))
