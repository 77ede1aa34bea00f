"""Choosing what a student learns: criteria, what is turned away and why, and what stands in it."""

from __future__ import annotations

import json
from math import nan
from typing import TYPE_CHECKING

import pytest

from fake_answers import TASKS, answers, arms, question
from fusionfactory.distill.selecting.select import select
from fusionfactory.distill.selecting.settings import SelectSettings
from fusionfactory.distill.selection import Selection
from fusionfactory.errors import DistillError
from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Score

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.distill.selecting.answers import Answers


def taken(selection: Selection) -> list[str]:
    return [example.arm for example in selection.examples]


FOUR = arms(
    "q",
    dear=(1.0, 0.5, 9.0),
    cheap=(1.0, 0.9, 2.0),
    fluent=(0.0, 1.0, 1.0),
    unknown=(1.0, 0.9, None),
)


@pytest.mark.parametrize(
    ("criterion", "order"),
    [
        ("performance", ["cheap", "dear", "unknown", "fluent"]),
        ("judge", ["fluent", "cheap", "unknown", "dear"]),
        ("hybrid", ["cheap", "unknown", "dear", "fluent"]),
        ("best", ["cheap", "unknown", "dear"]),
    ],
)
def test_ranks_by_the_criterion_then_cost_and_an_unknown_cost_last(
    criterion: str, order: list[str]
) -> None:
    found = select(answers([question("q")], FOUR), SelectSettings(criterion), tasks=TASKS)
    assert taken(found) == order
    assert [example.rank for example in found.examples] == list(range(1, len(order) + 1))


def test_papers_criteria_take_the_top_k_right_or_not() -> None:
    settings = SelectSettings("performance", top_k=4)
    found = select(answers([question("q")], FOUR), settings, tasks=TASKS)
    assert [example.quality for example in found.examples] == [1, 1, 1, 0]
    assert found.report["rejected"] == {}
    short = select(answers([question("q")], FOUR), SelectSettings("judge", top_k=1), tasks=TASKS)
    assert taken(short) == ["fluent"]
    assert short.report["rejected"] == {"beyond the best of its question": 3}


def test_what_is_equal_is_ordered_by_seed_whatever_its_length_or_place() -> None:
    rows = [
        {"query_id": f"q{i}", "arm": arm, "quality": 1.0, "response": "4 " * length}
        for i in range(40)
        for arm, length in (("long", 50), ("short", 1))
    ]
    queries = [question(f"q{i}") for i in range(40)]
    settings = SelectSettings("performance", top_k=1)
    first = taken(select(answers(queries, rows), settings, tasks=TASKS))
    assert 10 < first.count("long") < 30
    assert first == taken(select(answers(queries, rows[::-1]), settings, tasks=TASKS))
    other = SelectSettings("performance", top_k=1, seed=1)
    assert first != taken(select(answers(queries, rows), other, tasks=TASKS))


def test_a_missing_score_is_missing_and_never_zero() -> None:
    rows = [*arms("q", right=(1.0, 0.2, 1.0), unscored=(None, 0.9, 1.0), unjudged=(0.0, None, 1.0))]
    pool = answers([question("q")], rows)
    found = select(pool, SelectSettings("performance"), tasks=TASKS)
    assert taken(found) == ["right", "unjudged"]
    assert found.report["rejected"] == {"not scored": 1}
    judged = select(pool, SelectSettings("judge"), tasks=TASKS)
    assert taken(judged) == ["unscored", "right"]
    assert judged.report["rejected"] == {"not judged": 1}
    both = select(pool, SelectSettings("hybrid"), tasks=TASKS)
    assert taken(both) == ["right"]


def test_best_says_of_every_answer_why_it_is_not_taken() -> None:
    rows = arms("q", good=(1.0, None, 1.0), wrong=(0.0, None, 1.0))
    rows += [
        {"query_id": "q", "arm": "failed", "error": "timeout"},
        {"query_id": "q", "arm": "silent", "response": " \n", "quality": 0.0},
        {"query_id": "q", "arm": "cut", "response": "it is 4 as", "quality": 1.0,
         "finish_reason": "length"},
        {"query_id": "q", "arm": "echo", "quality": 1.0, "cost_usd": 2.0,
         "response": "Good says THAT good and good make 4."},
        {"query_id": "q", "arm": "liar", "quality": 1.0, "response": "It is seven, I think."},
        {"query_id": "tested", "arm": "good", "response": "it is 4", "quality": 1.0},
    ]  # fmt: skip
    queries = [question("q"), question("tested", split="test")]
    found = select(answers(queries, rows), SelectSettings(), tasks=TASKS)
    assert taken(found) == ["good"]
    assert found.report["rejected"] == {
        "failed call": 1,
        "empty answer": 1,
        "question of another split": 1,
        "not right": 1,
        "cut off at the token limit": 1,
        "scored otherwise when scored again": 1,
        "near a better answer": 1,
    }
    by_arm = {row["arm"]: row for row in found.report["arms"]}
    assert by_arm["liar"]["rejected"] == {"scored otherwise when scored again": 1}
    assert by_arm["good"] | {"lengths": None} == {
        "arm": "good", "answers": 1, "taken": 1, "share": 1.0, "lengths": None, "rejected": {},
    }  # fmt: skip
    (task,) = found.report["tasks"]
    assert (task["task"], task["questions"], task["covered"]) == ("gsm8k", 1, 1)


def test_answers_to_questions_of_another_split_are_counted_nowhere_else() -> None:
    rows = arms("q", good=(1.0, None, 1.0))
    rows += [
        {"query_id": "tested", "arm": "good", "error": "timeout"},
        {"query_id": "other", "arm": "good", "response": " ", "quality": 0.0},
    ]
    queries = [question("q"), question("tested", split="test"), question("other", split=None)]
    report = select(answers(queries, rows), SelectSettings(), tasks=TASKS).report
    assert report["rejected"] == {"question of another split": 2}
    assert [(row["answers"], row["rejected"]) for row in report["arms"]] == [(1, {})]


def test_a_frame_may_say_nan_where_a_score_is_missing() -> None:
    pool = answers([question("q")], arms("q", right=(1.0, None, 1.0), unscored=(nan, None, 1.0)))
    frame = pool.answers.join(pool.queries, on="query_id").with_columns(output_price=None)
    found = select(frame, SelectSettings("performance"), tasks=TASKS)
    assert taken(found) == ["right"]
    assert found.report["rejected"] == {"not scored": 1}


def test_a_metric_that_no_scorer_knows_gives_no_label() -> None:
    queries = [question("q"), question("odd", metric="rouge")]
    pool = answers(queries, arms("q", a=(1.0, None, None)))
    found = select(pool, SelectSettings("label"), tasks=TASKS)
    assert [example.query_id for example in found.examples] == ["q"]
    assert found.report["rejected"] == {"no target that its scorer accepts as an answer": 1}


def test_what_a_refuted_answer_hid_is_taken_in_its_place() -> None:
    rows = [
        {
            "query_id": "q",
            "arm": "liar",
            "quality": 1.0,
            "judge": 1.0,
            "response": "I say 7 apples",
        },
        {
            "query_id": "q",
            "arm": "next",
            "quality": 1.0,
            "judge": 0.5,
            "response": "I say 4 apples",
        },
    ]
    found = select(answers([question("q")], rows), SelectSettings(top_k=1), tasks=TASKS)
    assert taken(found) == ["next"]
    blind = SelectSettings(top_k=1, verify=False)
    assert taken(select(answers([question("q")], rows), blind, tasks=TASKS)) == ["liar"]


def test_label_is_the_form_of_the_target_that_the_scorer_takes() -> None:
    options = "Where?\n(A) here\n(B) there"
    queries = [
        question("number", target="4"),
        question("letter", options, task="commonsense_qa", target="B", metric="multiple_choice"),
        question("truth", "So?", task="boolq", target="True", metric="contains"),
        question("many", "Who?", task="gsm8k", target='["Ann", "Anna"]', metric="contains"),
        question("code", "f?", task="mbpp", target="assert f(1) == 2", metric="code"),
        question("free", "Write.", task="gsm8k", target=None, metric="judge"),
        question("tested", split="test"),
    ]
    pool = answers(queries, arms("number", a=(1.0, None, None)))
    found = select(pool, SelectSettings("label"), tasks=TASKS)
    assert {e.query_id: e.response for e in found.examples} == {
        "number": "4", "letter": "(B)", "truth": "yes", "many": "Ann",
    }  # fmt: skip
    assert {example.arm for example in found.examples} == {"label"}
    assert found.report["rejected"] == {"no target that its scorer accepts as an answer": 2}


def test_prompt_is_what_the_student_will_be_asked_whatever_the_arm_was() -> None:
    rows = [{"query_id": "q", "arm": "m|think", "response": "so 4", "quality": 1.0}]
    query = question("q")
    for strategy in ("direct", "think"):
        settings = SelectSettings(strategy=strategy)
        (example,) = select(answers([query], rows), settings, tasks=TASKS).examples
        (asked,) = TASKS["gsm8k"].messages(query, strategy)
        assert [message.model_dump() for message in example.prompt] == [asked]
    with pytest.raises(DistillError, match=r"'thought:3' shows what a bank .* use direct"):
        select(answers([query], rows), SelectSettings(strategy="thought:3"), tasks=TASKS)


def test_a_store_gives_all_samples_and_the_scores_in_force(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.db") as store:
        store.add_queries([question("q"), question("t", split="test")])
        store.add_arms([Arm("m", output_price=2.0)])
        store.append(
            [
                Outcome("q", "m", 0, "it is 5", scores=(Score("performance", 0.0),)),
                Outcome("q", "m", 1, "it is 4", scores=(Score("performance", 0.0, "old", "1"),)),
                Outcome("q", "m", 2, error="timeout"),
            ]
        )
        store.put_scores("q", "m", [Score("performance", 1.0, "number", "2")], sample=1)
        found = select(store, SelectSettings(), tasks=TASKS)
    (example,) = found.examples
    assert (example.arm, example.sample, example.quality, example.solved) == ("m", 1, 1.0, 0.5)
    assert found.report["rejected"] == {"failed call": 1, "not right": 1}


def test_saved_selection_is_read_again_with_settings_and_report(tmp_path: Path) -> None:
    found = select(answers([question("q")], FOUR), SelectSettings(), tasks=TASKS)
    found.save(tmp_path)
    again = Selection.load(tmp_path)
    assert again.examples == found.examples
    assert again.report == found.report
    assert again.settings == found.settings
    assert (again.criterion, again.settings["min_quality"]) == ("best", 1.0)
    assert json.loads(json.dumps(found.report)) == found.report


def test_refuses_what_it_cannot_choose_from() -> None:
    pool = answers([question("q")], FOUR)

    def alone(*scores: float | None, split: str | None = "train") -> Answers:
        return answers([question("q", split=split)], arms("q", a=(*scores, None)))

    cases: list[tuple[Answers, SelectSettings, str]] = [
        (pool, SelectSettings(source_arms=("who",)), "no arm or model 'who' .* dear, cheap"),
        (pool, SelectSettings(student="who"), "no arm 'who' has answered"),
        (pool, SelectSettings(tasks=("who",)), "no question of the task 'who'; there are: gsm8k"),
        (pool, SelectSettings(split="dev"), "no question is of the split 'dev'; there are: train"),
        (pool, SelectSettings(max_price=1.0), "no arm is known to cost 1.0 USD or less"),
        (alone(1.0, None, split=None), SelectSettings(), "no question names its split"),
        (alone(1.0, None), SelectSettings("judge"), "needs a judge's scores"),
        (alone(None, 0.5), SelectSettings(), "no answer has a quality"),
        (alone(0.0, 0.5), SelectSettings(), "no answer is left to train on: not right 1"),
    ]
    for source, settings, words in cases:
        with pytest.raises(DistillError, match=words):
            select(source, settings, tasks=TASKS)
    with pytest.raises(DistillError, match="'nice' is no criterion"):
        SelectSettings("nice")
