"""Names, options and detection of formats."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING

import pytest

from fusionfactory.errors import ConfigError, FormatError, UnknownNameError
from fusionfactory.importers import IMPORTERS, LOGS, detect, import_table

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.registry import Registry


@pytest.mark.parametrize("registry", [IMPORTERS, LOGS], ids=lambda registry: registry.kind)
def test_every_importer_reads_a_path(registry: Registry) -> None:
    for name in registry.names():
        assert next(iter(inspect.signature(registry.load(name)).parameters)) == "path", name


@pytest.mark.parametrize("name", [*IMPORTERS.names(), *LOGS.names()])
def test_every_importer_names_an_absent_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "absent.json"
    with pytest.raises(FormatError, match=r"absent\.json: "):
        import_table(name, path)


def test_unknown_importer() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown importer 'excel'; known: fusionbench, .*litellm"
    ):
        import_table("excel", "x.xlsx")


def test_unknown_option(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"field 'colour': .* 'routerdc' has no such option; it has t"
    ):
        import_table("routerdc", tmp_path, colour="red")
    with pytest.raises(ConfigError, match="'routerbench' has no such option; it has none"):
        import_table("routerbench", tmp_path, colour="red")


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.csv", "task_name,query,llm\nt,q,m\n", "fusionbench"),
        ("a.csv", "sample_id,prompt,m,m|total_cost\n1,p,1,2\n", "routerbench"),
        ("a.csv", "prompt,m1,m2\np,True,False\n", "routellm"),
        ("a.json", [{"query": "q", "candidates": []}], "fusionbench-router"),
        ("a.json", [{"question": "q", "scores": {}}], "routerdc"),
        ("a.json", [{"idx": 1, "model_a": "a", "model_b": "b", "winner": "tie"}], "routellm"),
        ("a.json", [{"global index": 1, "prompt": "p", "prediction": "m"}], "routerarena"),
        ("a.json", {"model_name": "m", "dataset_name": "d", "records": []}, "llmrouterbench"),
        ("d/s/m/a.json", {"model_name": "m", "dataset_name": "d", "records": []}, "llmrouterbench"),
        ("a.jsonl", {"query": "q", "model_name": "m"}, "llmrouter"),
        ("a.jsonl", {"global_index": "A_1", "question": "q"}, "routerarena"),
        ("cached_results/a.jsonl", {"global_index": "A_1", "question": "q"}, "routerarena"),
        ("my_routing.jsonl", {"query": "q", "model_name": "m"}, "llmrouter"),
    ],
)
def test_detect(tmp_path: Path, name: str, content: object, found: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert detect(path) == found
    if "." not in tmp_path.name and name.count("/") != 0:
        assert detect(tmp_path) == found


def test_detect_a_hub_name() -> None:
    assert detect("hf:ulab-ai/FusionBench") == "fusionbench"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "x,y\n1,2\n", r"a\.csv: fits no known format; name the format, or use `generic`"),
        ("a.csv", "prompt,id\np,12\n", "fits no known format"),
        ("a.json", '{"x": 1}', "fits no known format"),
        ("a.jsonl", '{"x": 1}', "fits no known format"),
        ("a.json", "[]", "fits no known format"),
        ("a.pkl", "x", "is a pickle"),
        ("a.txt", "x", r"has the ending '\.txt', expected \.csv or \.parquet"),
        ("a.json", "{", "fits no known format"),
        ("a.json", "[1", "row 1: is no JSON"),
    ],
)
def test_detect_says_what_it_cannot(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(FormatError, match=message):
        detect(path)


def test_detect_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="fits no known format"):
        detect(tmp_path)


def test_detect_an_absent_path(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        detect(tmp_path / "absent.csv")
    with pytest.raises(FormatError, match="no such file"):
        detect(tmp_path / "absent.json")
