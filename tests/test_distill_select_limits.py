"""How much is taken: near answers, lengths, difficulty, prices, caps and budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fake_answers import TASKS, answers, arms, question
from fusionfactory.distill.selecting.select import select
from fusionfactory.distill.selecting.settings import SelectSettings
from fusionfactory.errors import DistillError, SandboxError
from fusionfactory.sandbox import find_sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.distill.selection import Selection
    from fusionfactory.types import Query


def right(query_id: str, arm: str, response: str = "", **known: Any) -> dict[str, Any]:  # noqa: ANN401
    text = response or f"{arm} makes it 4"
    return {"query_id": query_id, "arm": arm, "response": text, "quality": 1.0, **known}


def choose(
    queries: Sequence[Query], rows: Sequence[dict[str, Any]], settings: SelectSettings
) -> Selection:
    return select(answers(queries, rows), settings, tasks=TASKS)


def keys(selection: Selection) -> list[tuple[str, str]]:
    return [(example.query_id, example.arm) for example in selection.examples]


STEPS = "First add one and one to get two, then add two more of them, and so the sum is 4"


def test_near_answers_are_dropped_but_other_ways_to_the_answer_stay() -> None:
    rows = [
        right("q", "a", STEPS, cost_usd=1.0),
        right("q", "b", STEPS.upper() + "!", cost_usd=2.0),
        right("q", "c", STEPS.replace("First", "Now"), cost_usd=3.0),
        right("q", "d", "Doubling two gives 4", cost_usd=4.0),
        right("q", "e", "4", cost_usd=5.0),
        right("q", "f", " 4.", cost_usd=6.0),
    ]
    found = choose([question("q")], rows, SelectSettings())
    assert [arm for _, arm in keys(found)] == ["a", "d", "e"]
    assert found.report["rejected"] == {"near a better answer": 3}
    strict = choose([question("q")], rows, SelectSettings(near=1.0))
    assert [arm for _, arm in keys(strict)] == ["a", "c", "d", "e"]
    every = choose([question("q")], rows, SelectSettings(distinct=False, top_k=6))
    assert len(every.examples) == 6
    papers = choose([question("q")], rows, SelectSettings("performance", top_k=6))
    assert len(papers.examples) == 6


def test_one_answer_per_model_whatever_its_prompt_or_sample() -> None:
    rows = [
        right("q", "m", "4 it is", cost_usd=1.0),
        right("q", "m", "well, 4", cost_usd=2.0, sample=1),
        right("q", "m|think", "so we get 4", cost_usd=3.0),
        right("q", "n", "one finds 4", cost_usd=4.0),
    ]
    found = choose([question("q")], rows, SelectSettings(one_per_model=True))
    assert keys(found) == [("q", "m"), ("q", "n")]
    assert found.report["rejected"] == {"the model has a better answer": 2}


def test_lengths_are_held_against_the_students_own_on_the_task() -> None:
    queries = [question(f"q{i}") for i in range(10)]
    rows = [
        {**right(f"q{i}", "small", "it is 5"), "quality": 0.0, "output_tokens": float(10 + i)}
        for i in range(10)
    ]
    rows += [right("q0", "brief", output_tokens=40.0), right("q1", "wordy", output_tokens=37.0)]
    rows += [right("q2", "chatty", output_tokens=39.0)]
    sources = ("brief", "wordy", "chatty")
    settings = SelectSettings(student="small", always_fits=8, source_arms=sources)
    found = choose(queries, rows, settings)
    # Nine tenths of the student's answers are as long as 19 tokens: twice that is 38.
    assert keys(found) == [("q1", "wordy")]
    assert found.report["rejected"] == {"too long for the student": 2}
    assert found.report["student"] == {"arm": "small", "longest": {"gsm8k": 38.0}}
    wider = choose(queries, rows, SelectSettings(student="small", stretch=3.0, always_fits=8))
    assert len(wider.examples) == 3
    roomy = choose(queries, rows, SelectSettings(student="small", source_arms=sources))
    assert roomy.report["student"] == {"arm": "small", "longest": {"gsm8k": 64.0}}
    assert len(roomy.examples) == 3


def test_one_task_may_have_room_where_the_student_is_terse_on_another() -> None:
    queries = [question("q"), question("r", task="boolq")]
    rows = [
        {**right("q", "small", "it is 5"), "quality": 0.0, "output_tokens": 50.0},
        {**right("r", "small", "it is 5"), "quality": 0.0, "output_tokens": 3.0},
        right("q", "big", output_tokens=90.0),
    ]
    found = choose(queries, rows, SelectSettings(student="small", source_arms=("big",)))
    assert found.report["student"]["longest"] == {"gsm8k": 100.0, "boolq": 64.0}


def test_how_long_the_student_writes_is_not_looked_up_on_test_questions() -> None:
    queries = [question("q"), question("held", split="test")]
    rows = [
        {**right("q", "small", "it is 5"), "quality": 0.0, "output_tokens": 50.0},
        {**right("held", "small", "it is 5"), "quality": 0.0, "output_tokens": 200.0},
        right("q", "big", output_tokens=90.0),
    ]
    found = choose(queries, rows, SelectSettings(student="small", source_arms=("big",)))
    assert found.report["student"]["longest"] == {"gsm8k": 100.0}


def test_without_the_students_answers_max_tokens_counts() -> None:
    rows = [
        right("q", "short", output_tokens=20.0),
        right("q", "long", "It " + "really " * 30 + "is 4"),
    ]
    found = choose([question("q")], rows, SelectSettings(max_tokens=30))
    assert keys(found) == [("q", "short")]
    assert found.report["rejected"] == {"too long for the student": 1}
    assert found.report["tokens"]["counted"] == 1.0


def test_lengths_that_nobody_counted_are_a_quarter_of_the_characters() -> None:
    found = choose([question("q")], [right("q", "a", "it is 4 and 4 is it!")], SelectSettings())
    assert found.report["lengths"] == {
        "min": 5.0, "median": 5.0, "mean": 5.0, "p95": 5.0, "max": 5.0,
    }  # fmt: skip
    assert found.report["tokens"]["counted"] == 0.0


def graded(count: int, task: str = "gsm8k") -> tuple[list[Query], list[dict[str, Any]]]:
    """Questions that 1, 2, ... `count` of so many arms are right on."""
    queries = [question(f"{task}{i}", task=task) for i in range(count)]
    rows = [
        right(f"{task}{i}", f"arm{arm}") | {"quality": float(arm <= i), "output_tokens": 10.0}
        for i in range(count)
        for arm in range(count)
    ]
    return queries, rows


def test_difficulty_is_the_share_of_the_arms_that_are_right() -> None:
    queries, rows = graded(4)
    settings = SelectSettings(solved=(0.3, 0.75), source_arms=("arm0",))
    found = choose(queries, rows, settings)
    assert [(e.query_id, e.solved) for e in found.examples] == [("gsm8k1", 0.5), ("gsm8k2", 0.75)]
    assert found.report["rejected"] == {"too few or too many arms are right": 2}
    with pytest.raises(DistillError, match=r"0\.7:0\.3 is no range of shares"):
        SelectSettings(solved=(0.7, 0.3))


def test_a_cap_takes_whole_questions_the_hardest_first() -> None:
    queries, rows = graded(4)
    found = choose(queries, rows, SelectSettings(per_task=3, top_k=2))
    assert {query for query, _ in keys(found)} == {"gsm8k0", "gsm8k1"}
    assert found.report["rejected"]["beyond the task's cap"] == 4
    papers = choose(queries, rows, SelectSettings("performance", per_task=4, top_k=2, seed=3))
    assert len({query for query, _ in keys(papers)}) == 2
    with pytest.raises(DistillError, match=r"'per_task': 1 examples of a task .* top_k is 2"):
        SelectSettings(per_task=1, top_k=2)


def test_a_token_budget_is_spread_evenly_and_what_a_task_leaves_goes_to_the_others() -> None:
    queries, rows = [], []
    for task, count in (("boolq", 2), ("gsm8k", 40), ("mbpp", 40)):
        for i in range(count):
            name = f"{task}{i}"
            queries.append(question(name, "x" * 40, task=task))
            rows.append(right(name, "a") | {"output_tokens": 10.0})
    bare = SelectSettings("performance", token_budget=1_000)
    found = select(answers(queries, rows), bare, tasks={})
    assert {row["task"]: row["taken"] for row in found.report["tasks"]} == {
        "boolq": 2, "gsm8k": 24, "mbpp": 24,
    }  # fmt: skip
    tokens = found.report["tokens"]
    assert (tokens["answers"], tokens["prompts"]) == (500.0, 500.0)
    assert found.report["rejected"] == {"beyond the token budget": 32}
    whole = select(
        answers(queries, rows), SelectSettings("performance", token_budget=9_999), tasks={}
    )
    assert len(whole.examples) == 82


def test_cheap_arms_only_and_those_of_unknown_price_are_named() -> None:
    rows = [right("q", arm) for arm in ("cheap", "dear", "unknown")]
    pool = answers([question("q")], rows, prices={"cheap": 0.2, "dear": 5.0, "unknown": None})
    found = select(pool, SelectSettings(max_price=1.0), tasks=TASKS)
    assert keys(found) == [("q", "cheap")]
    assert found.report["unpriced"] == ["unknown"]
    named = select(pool, SelectSettings(source_arms=("dear",)), tasks=TASKS)
    assert keys(named) == [("q", "dear")]
    assert named.examples[0].solved == 1.0


def test_where_only_a_judge_scores_its_score_says_what_is_right() -> None:
    query = question("q", target=None, metric="judge")
    rows = arms("q", good=(None, 0.9, 1.0), fair=(None, 0.6, 1.0), unread=(None, None, 1.0))
    found = choose([query], rows, SelectSettings())
    assert keys(found) == [("q", "good")]
    assert found.report["rejected"] == {"not judged": 1, "judged too low": 1}
    looser = choose([query], rows, SelectSettings(min_judge=0.5))
    assert [arm for _, arm in keys(looser)] == ["good", "fair"]


def test_only_these_tasks() -> None:
    queries = [question("one"), question("two", "Is it?", task="boolq", metric="contains")]
    rows = [right("one", "a"), right("two", "a")]
    found = choose(queries, rows, SelectSettings(tasks=("boolq",)))
    assert keys(found) == [("two", "a")]
    assert [row["task"] for row in found.report["tasks"]] == ["boolq"]


def test_what_cannot_be_scored_again_is_trusted_only_when_told_to() -> None:
    queries = [question("q", metric=None), question("r", metric="bleu"), question("s", target=None)]
    rows = [right(query.id, "a") for query in queries]
    with pytest.raises(DistillError, match="no metric or target to score it again by 3"):
        choose(queries, rows, SelectSettings())
    assert len(choose(queries, rows, SelectSettings(verify=False)).examples) == 3


def test_questions_of_no_task_are_chosen_from_like_others() -> None:
    queries = [question(name, task=None) for name in ("q", "r")]
    rows = [
        right("q", "small", output_tokens=5.0),
        right("r", "wordy", output_tokens=11.0),
        right("r", "brief", output_tokens=10.0),
    ]
    settings = SelectSettings(student="small", always_fits=1, token_budget=999, per_task=9)
    found = choose(queries, rows, settings)
    assert keys(found) == [("q", "small"), ("r", "brief")]
    assert [row["task"] for row in found.report["tasks"]] == [None]
    assert found.examples[0].prompt[0].content == queries[0].text


def test_code_is_run_again_in_the_sandbox() -> None:
    try:
        find_sandbox()
    except SandboxError as error:
        pytest.skip(str(error))
    tests = "assert twice(2) == 4\nassert twice(3) == 6\n"
    query = question("q", "Double it.", task="mbpp", metric="code", target=tests)
    rows = [
        right("q", "works", "[BEGIN]\ndef twice(n):\n    return 2 * n\n[DONE]"),
        right("q", "lies", "[BEGIN]\ndef twice(n):\n    return n + 2\n[DONE]"),
    ]
    found = choose([query], rows, SelectSettings())
    assert keys(found) == [("q", "works")]
    assert found.report["rejected"] == {"scored otherwise when scored again": 1}
