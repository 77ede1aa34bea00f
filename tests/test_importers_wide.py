"""RouterBench, RouteLLM and tables of no known format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import ConfigError, FormatError
from fusionfactory.importers import import_table

if TYPE_CHECKING:
    from pathlib import Path


def bench() -> pl.DataFrame:
    """Two rows in RouterBench's schema."""
    return pl.DataFrame(
        {
            "sample_id": ["mmlu.val.0", "mtbench.1"],
            "prompt": ["What is 2+2?", "['First turn?', \"Second's turn?\"]"],
            "eval_name": ["mmlu", "mtbench"],
            "gpt-4": [1.0, 0.9],
            "WizardLM/WizardLM-13B-V1.2": [0.0, None],
            "gpt-4|model_response": ["['4']", "[not a list]"],
            "WizardLM/WizardLM-13B-V1.2|model_response": ["5", None],
            "gpt-4|total_cost": [0.002, 0.004],
            "WizardLM/WizardLM-13B-V1.2|total_cost": [0.0001, None],
            "oracle_model_to_route_to": ["gpt-4", "gpt-4"],
        }
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_routerbench(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bench{suffix}"
    bench().write_csv(path) if suffix == ".csv" else bench().write_parquet(path)
    table = import_table("auto", path)
    assert table.arm_names == ("gpt-4", "WizardLM/WizardLM-13B-V1.2")
    np.testing.assert_array_equal(table.quality, [[1.0, 0.0], [0.9, np.nan]])
    np.testing.assert_allclose(table.cost_usd, [[0.002, 0.0001], [0.004, np.nan]])
    assert table.texts == ["What is 2+2?", "First turn?\nSecond's turn?"]
    assert table.queries["query_id"].to_list() == ["mmlu:mmlu.val.0", "mtbench:mtbench.1"]
    assert table.responses is not None
    assert table.responses.tolist() == [["4", "5"], ["[not a list]", None]]


def test_routerbench_pickle_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "routerbench_0shot.pkl"
    path.write_bytes(b"cos\nabort\n(tR.")
    with pytest.raises(
        FormatError, match=r"is a pickle, which can run code .*read_pickle\('router"
    ):
        import_table("routerbench", path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.lit(1.5).alias("gpt-4"), r"row 1, field 'gpt-4': 1\.5 must lie in \[0, 1\]"),
        (
            pl.lit("x").alias("gpt-4|total_cost"),
            r"row 1, field 'gpt-4\|total_cost': 'x' is no number",
        ),
        (pl.lit(None).alias("prompt"), "row 1, field 'prompt': None is empty"),
        (
            pl.lit([1.0]).alias("gpt-4"),
            r"field 'gpt-4': has type List\(Float64\), expected a number",
        ),
        (pl.lit("mmlu").alias("eval_name"), None),
    ],
)
def test_routerbench_faults(tmp_path: Path, change: pl.Expr, message: str | None) -> None:
    path = tmp_path / "b.parquet"
    bench().with_columns(change).write_parquet(path)
    if message is None:
        assert len(import_table("routerbench", path)) == 2
        return
    with pytest.raises(FormatError, match=message):
        import_table("routerbench", path)


def test_routerbench_without_a_column(tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    bench().drop("gpt-4").write_parquet(path)
    with pytest.raises(FormatError, match=r"field 'gpt-4': missing \(needed for performance\)"):
        import_table("routerbench", path)
    bench().select("prompt").write_parquet(path)
    with pytest.raises(FormatError, match=r"no column ends in '\|total_cost'"):
        import_table("routerbench", path)


def test_routellm_battles(tmp_path: Path) -> None:
    path = tmp_path / "battles.json"
    battles = [
        {"idx": 7, "model_a": "x", "model_b": "y", "winner": "model_a"},
        {"idx": 9, "model_a": "y", "model_b": "z", "winner": "tie (bothbad)"},
    ]
    path.write_text(json.dumps(battles))
    table = import_table("auto", path)
    np.testing.assert_array_equal(table.quality, [[1.0, 0.0, np.nan], [np.nan, 0.5, 0.5]])
    assert table.texts == ["battle 7", "battle 9"]
    assert list(table.tasks) == ["battles", "battles"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"winner": "both"}, "row 1, field 'winner': 'both' is none of model_a, model_b, tie"),
        ({"model_b": None}, "row 1, field 'model_b': is null"),
        ({"model_b": "x"}, "row 1: duplicate cell"),
    ],
)
def test_routellm_battle_faults(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "battles.json"
    path.write_text(
        json.dumps([{"idx": 7, "model_a": "x", "model_b": "y", "winner": "tie"} | change])
    )
    with pytest.raises(FormatError, match=message):
        import_table("routellm", path)


EVALUATION = """,prompt,mixtral,gpt-4,mixtral_response,gpt-4_response
0,"Is it, true?",True,False,yes,no
1,And this?,,1.0,,maybe
"""


def test_routellm_evaluation(tmp_path: Path) -> None:
    path = tmp_path / "mmlu_anatomy.csv"
    path.write_text(EVALUATION)
    table = import_table("auto", path)
    assert table.arm_names == ("mixtral", "gpt-4")
    np.testing.assert_array_equal(table.quality, [[1.0, 0.0], [np.nan, 1.0]])
    assert table.responses is not None
    assert table.responses[0].tolist() == ["yes", "no"]
    assert list(table.tasks) == ["mmlu_anatomy"] * 2


def test_routellm_evaluation_with_named_models(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text(EVALUATION)
    assert import_table("routellm", path, models=["gpt-4"], task="t").arm_names == ("gpt-4",)
    with pytest.raises(FormatError, match="row 1, field 'mixtral_response': 'yes' is no number"):
        import_table("routellm", path, models=["mixtral_response"])
    path.write_text("prompt,a\nx,y\n")
    with pytest.raises(FormatError, match="no column holds scores; found prompt, a"):
        import_table("routellm", path)


LONG = [
    {"question": "a?", "model": "m1", "score": 1, "usd": 0.01, "topic": "x"},
    {"question": "a?", "model": "m1|think", "score": None, "usd": None, "topic": "x"},
    {"question": "b?", "model": "m1", "score": 0.5, "usd": 0.02, "topic": None},
]
COLUMNS = {
    "query": "question",
    "arm": "model",
    "quality": "score",
    "cost_usd": "usd",
    "task": "topic",
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl", ".json"])
def test_generic_long(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    if suffix == ".csv":
        pl.DataFrame(LONG).write_csv(path)
    elif suffix == ".parquet":
        pl.DataFrame(LONG).write_parquet(path)
    elif suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, LONG)))
    else:
        path.write_text(json.dumps(LONG))
    table = import_table("generic", path, columns=COLUMNS, task="other")
    assert table.arm_names == ("m1", "m1|think")
    np.testing.assert_array_equal(table.quality, [[1.0, np.nan], [0.5, np.nan]])
    np.testing.assert_array_equal(table.cost_usd, [[0.01, np.nan], [0.02, np.nan]])
    assert list(table.tasks) == ["x", "other"]


def test_generic_finds_columns_by_their_own_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("query,arm,quality,judge,latency_s,logprob,ignored\na?,m,true,0.5,2,-0.1,x\n")
    table = import_table("generic", path)
    assert (table.quality[0, 0], table.judge[0, 0], table.latency_s[0, 0]) == (1.0, 0.5, 2.0)
    assert table.logprob.tolist() == [[-0.1]]


WIDE = [
    {"question": "a?", "m1": 1.0, "m2": 0.0, "m1_usd": 0.1, "m2_usd": 0.2},
    {"question": "b?", "m1": None, "m2": 0.5, "m1_usd": None, "m2_usd": 0.2},
]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_generic_wide(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    frame = pl.DataFrame(WIDE)
    frame.write_csv(path) if suffix == ".csv" else frame.write_ndjson(path)
    table = import_table(
        "generic",
        path,
        columns={"query": "question"},
        arms=["m1", "m2"],
        per_arm={"quality": "{arm}", "cost_usd": "{arm}_usd"},
        task="t",
    )
    np.testing.assert_array_equal(table.quality, [[1.0, 0.0], [np.nan, 0.5]])
    np.testing.assert_array_equal(table.cost_usd, [[0.1, 0.2], [np.nan, 0.2]])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"columns": {"question": "query"}},
            ConfigError,
            "field 'columns': 'question' is nothing a",
        ),
        (
            {"columns": {}},
            FormatError,
            r"field 'query': missing \(the column for 'query'; say which",
        ),
        ({"columns": COLUMNS | {"judge": "j"}}, FormatError, r"field 'j': missing .* for 'judge'"),
        ({"columns": {"query": "question"}, "arms": ["m9"]}, FormatError, "field 'm9': missing"),
        (
            {"columns": {"query": "question"}, "arms": ["m1"], "per_arm": {"task": "x"}},
            ConfigError,
            "field 'per_arm': 'task' is nothing a column can be",
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_generic_faults(
    tmp_path: Path, suffix: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    path = tmp_path / f"mine{suffix}"
    frame = pl.DataFrame(LONG)
    frame.write_csv(path) if suffix == ".csv" else frame.write_ndjson(path)
    with pytest.raises(error, match=message):
        import_table("generic", path, **options)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_generic_names_the_callers_field(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    frame = pl.DataFrame(LONG).with_columns(score=pl.lit(7))
    frame.write_csv(path) if suffix == ".csv" else frame.write_ndjson(path)
    with pytest.raises(FormatError, match=r"row 1, field 'score': 7\.0 must lie in \[0, 1\]"):
        import_table("generic", path, columns=COLUMNS)
