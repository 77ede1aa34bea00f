from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

DEMO = Path(__file__).parent.parent / "demo"


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    sys.path.insert(0, str(DEMO))
    try:
        names = ("questions", "scoring", "arms", "build")
        return {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(DEMO))


def test_questions_are_the_same_in_every_run(demo: dict[str, Any]) -> None:
    make = demo["questions"].make_questions
    assert make(per_task=8) == make(per_task=8)
    assert make(per_task=8) != make(per_task=8, seed=1)


def test_questions_are_unique_and_every_prefix_covers_every_task(demo: dict[str, Any]) -> None:
    questions = demo["questions"].make_questions()
    tasks = demo["questions"].TASKS
    assert len({question.task_id for question in questions}) == len(questions)
    assert len({question.query for question in questions}) == len(questions)
    assert {question.task_name for question in questions[: len(tasks)]} == {t.name for t in tasks}


@pytest.mark.parametrize("form", ["{}", "Answer: {}", "The answer is {}.", "**Answer:** {}\n"])
def test_every_target_is_accepted_by_its_own_scorer(demo: dict[str, Any], form: str) -> None:
    score = demo["scoring"].score
    for question in demo["questions"].make_questions():
        for target in question.ground_truth.split("|"):
            response = form.format(target)
            assert score(response, question.ground_truth, question.metric) == 1.0, question


def test_the_target_of_another_question_is_rejected(demo: dict[str, Any]) -> None:
    score = demo["scoring"].score
    questions = demo["questions"].make_questions()
    for first in questions:
        for second in questions:
            accepted = first.ground_truth.casefold().split("|")
            wrong = second.ground_truth.split("|")[0]
            if first.metric == second.metric and wrong.casefold() not in accepted:
                assert score(wrong, first.ground_truth, first.metric) == 0.0, (first, wrong)


@pytest.mark.parametrize(
    ("metric", "target", "response", "expected"),
    [
        ("number", "18", "18.00", 1.0),
        ("number", "1200", "It is 1,200.", 1.0),
        ("number", "14", "4 + 10 = 14", 1.0),
        ("number", "14", "So:\n4 + 10 = 14\nThe answer is $14.", 1.0),
        ("number", "14", "The answer is 4.", 0.0),
        ("number", "14", "", 0.0),
        ("choice", "B", "B) honey", 1.0),
        ("choice", "B", "The answer is **B**.", 1.0),
        ("choice", "A", "A) milk\nB) honey\nC) silk", 0.0),
        ("choice", "A", "A bee makes honey", 0.0),
        ("yes_no", "no", "No, it is not.", 1.0),
        ("yes_no", "no", "yes and no", 0.0),
        ("yes_no", "yes", "1. There is no car.\nAnswer: Yes", 1.0),
        ("label", "neutral", "The sentiment is neutral.", 1.0),
        ("label", "neutral", "positive or neutral", 0.0),
        ("code", "BANANA", "`BANANA`", 1.0),
        ("code", "BANANA", "banana", 0.0),
        ("code", "4", "So the answer is \\boxed{4}.", 1.0),
        ("code", "BANANA", "`print('banana'.upper())` will print 'BANANA' in uppercase.", 1.0),
        ("code", "small", "It prints 'small' if x is greater than 6.", 0.0),
        ("code", "[1, 2]", "[1,2]", 1.0),
        ("code", "small", "The code prints 'small'.", 1.0),
        ("string", "apple, lemon", "Apple, Lemon", 1.0),
        ("string", "apple, lemon", "lemon, apple", 0.0),
        ("string", "LEMON", "lemon", 0.0),
        ("string", "2", "There are 2 letters.", 1.0),
        ("short_answer", "4|four", "It has four strings.", 1.0),
        ("short_answer", "20", "1:20", 0.0),
        ("short_answer", "540", "1,540", 0.0),
        ("number", "107", "30 + 77 = 107\nThe answer is a number.", 1.0),
        ("number", "24", "1. Add 5\n2. So 20 + 4 = 24", 1.0),
        ("number", "13", "169 / 13 is a number.", 0.0),
        ("extract", "baker", "Jack is a baker in Riga.", 1.0),
        ("label", "neutral", "It is neutral. Nothing is positive.", 1.0),
        ("short_answer", "Mars", "Mars. " + "It is a planet of the solar system. " * 3, 1.0),
        ("extract", "Rossi", "The last name is Rossi.", 1.0),
        ("extract", "Rossi", "Ben Rossi is a painter in Riga.", 0.0),
        ("extract", "G668", "The code G668 is valid.", 1.0),
        ("json", '{"a": 1}', 'So: {"a": 2}\nOr rather:\n{"a": 1}\nDone', 1.0),
        ("json", '{"a": 1}', '```json\n{"a": 1}\n```', 1.0),
        ("json", '{"a": 1}', '{"a": "1"}', 0.0),
        ("json", '{"a": 1}', '{"a": true}', 0.0),
        ("json", '{"a": 1}', "a is 1", 0.0),
    ],
)
def test_score(
    demo: dict[str, Any], metric: str, target: str, response: str, expected: float
) -> None:
    assert demo["scoring"].score(response, target, metric) == expected


def test_a_cut_response_without_an_answer_scores_nothing(demo: dict[str, Any]) -> None:
    score = demo["scoring"].score
    assert score("First 4 + 10.\nThat is 14", "14", "number", finished=False) == 0.0
    assert score("Answer: 14\nBecause 4 and", "14", "number", finished=False) == 1.0


def test_a_row_has_measured_tokens_and_the_suffix_of_its_arm(demo: dict[str, Any]) -> None:
    question = demo["questions"].make_questions(per_task=1)[0]
    arm = next(arm for arm in demo["arms"].ARMS if arm.think)
    record = {
        "task_id": question.task_id,
        "llm": arm.name,
        "response": f"The answer is {question.ground_truth}.",
        "finish_reason": "stop",
        "input_tokens": 100,
        "output_tokens": 10,
        "latency_s": 0.5,
    }
    row = demo["build"].row(json.loads(json.dumps(record)), question, arm)
    assert row["performance"] == 1.0
    assert row["query"] == question.query + "\nLet's think step by step."
    assert row["cost"] == pytest.approx(100 * row["input_price"] + 10 * row["output_price"])


def test_the_bundled_scores_are_those_of_the_scorers(demo: dict[str, Any]) -> None:
    path = DEMO.parent / "src" / "fusionfactory" / "data" / "demo_log.parquet"
    questions = {question.task_id: question for question in demo["questions"].make_questions()}
    rows = pl.read_parquet(path).to_dicts()
    assert len({(row["task_id"], row["llm"]) for row in rows}) == len(rows)
    for row in rows:
        question = questions[row["task_id"]]
        finished = row["finish_reason"] == "stop"
        fresh = demo["scoring"].score(
            row["response"], question.ground_truth, question.metric, finished=finished
        )
        assert row["performance"] == fresh, row
        assert row["query"].startswith(question.query)
