"""Preference pairs: which answer is better, which is worse, and what makes no pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fake_answers import TASKS, answers, arms, question
from fusionfactory.distill.selecting.select import select
from fusionfactory.distill.selecting.settings import PairSettings, SelectSettings
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.distill.selection import Selection
    from fusionfactory.types import Query


def choose(
    rows: Sequence[dict[str, Any]],
    pairs: PairSettings | None = None,
    queries: Sequence[Query] | None = None,
    **settings: Any,  # noqa: ANN401
) -> Selection:
    asked = queries or [question(name) for name in dict.fromkeys(row["query_id"] for row in rows)]
    given = SelectSettings(pairs=pairs or PairSettings(), **settings)
    return select(answers(asked, rows), given, tasks=TASKS)


def told(selection: Selection) -> list[tuple[str, str, str, str]]:
    return [(p.query_id, p.chosen_arm, p.rejected_arm, p.by) for p in selection.pairs]


MIXED = arms("q", top=(1.0, 0.9, 1.0), good=(1.0, 0.3, 1.0), bad=(0.0, 0.8, 1.0))


def test_a_pair_is_the_best_answer_and_a_wrong_one_to_the_same_question() -> None:
    other = arms("alone", top=(1.0, 0.9, 1.0))
    found = choose([*MIXED, *other])
    (pair,) = found.pairs
    assert told(found) == [("q", "top", "bad", "performance")]
    assert (pair.gap, pair.chosen, pair.rejected) == (
        1.0,
        MIXED[0]["response"],
        MIXED[2]["response"],
    )
    assert pair.prompt == found.examples[0].prompt
    assert found.report["pairs"]["pairs"] == 1
    assert found.report["pairs"]["chosen_arms"] == {"top": 1}


def test_no_pairs_unless_asked_for() -> None:
    found = select(answers([question("q")], MIXED), SelectSettings(), tasks=TASKS)
    assert found.pairs == ()
    assert found.report["pairs"] is None
    with pytest.raises(DistillError, match="'label' takes no answers"):
        SelectSettings("label", pairs=PairSettings())


def test_the_gap_has_to_be_wide_enough() -> None:
    query = question("q", metric="token_f1", target="four apples")
    rows = [
        {"query_id": "q", "arm": "all", "response": "four apples", "quality": 1.0},
        {"query_id": "q", "arm": "some", "response": "four", "quality": 2 / 3},
    ]
    assert told(choose(rows, queries=[query])) == []
    loose = choose(rows, PairSettings(min_gap=0.3), queries=[query])
    assert told(loose) == [("q", "all", "some", "performance")]
    assert loose.pairs[0].gap == pytest.approx(1 / 3)


def test_the_judge_tells_right_answers_apart_only_where_quality_does_not() -> None:
    equal = arms("r", top=(1.0, 0.9, 1.0), good=(1.0, 0.3, 1.0), unread=(1.0, None, 1.0))
    assert told(choose([*MIXED, *equal])) == [("q", "top", "bad", "performance")]
    found = choose([*MIXED, *equal], PairSettings(min_judge_gap=0.5))
    assert told(found) == [
        ("q", "top", "bad", "performance"),
        ("r", "top", "good", "llm_judge"),
    ]
    assert found.report["pairs"]["by"] == {"performance": 1, "llm_judge": 1}
    assert told(choose(equal, PairSettings(min_judge_gap=0.7))) == []


def test_the_students_own_mistake_is_the_worse_answer_even_if_it_is_no_source() -> None:
    rows = arms("q", top=(1.0, None, 1.0), bad=(0.0, None, 1.0), pupil=(0.0, None, 1.0))
    plain = {choose(rows, seed=seed).pairs[0].rejected_arm for seed in range(12)}
    assert plain == {"bad", "pupil"}
    named = {
        choose(rows, seed=seed, student="pupil", source_arms=("top", "bad")).pairs[0].rejected_arm
        for seed in range(12)
    }
    assert named == {"pupil"}
    found = choose(rows, student="pupil", source_arms=("top", "bad"))
    assert "pupil" not in {row["arm"] for row in found.report["arms"]}
    assert found.report["pairs"]["rejected_by_student"] == 1


def test_no_answer_stands_in_two_pairs_of_a_question() -> None:
    rows = arms("q", a=(1.0, 0.9, 1.0), b=(1.0, 0.8, 1.0), c=(1.0, 0.7, 1.0))
    rows += arms("q", x=(0.0, None, 1.0), y=(0.0, None, 1.0))
    found = choose(rows, PairSettings(per_query=3))
    assert [pair.chosen_arm for pair in found.pairs] == ["a", "b"]
    assert {pair.rejected_arm for pair in found.pairs} == {"x", "y"}


def test_same_source_pairs_two_answers_of_one_model() -> None:
    rows = arms("q", top=(1.0, 0.9, 1.0), bad=(0.0, None, 1.0))
    assert told(choose(rows, PairSettings(same_source=True))) == []
    again = {"query_id": "q", "arm": "top|think", "response": "so it is 5", "quality": 0.0}
    found = choose([*rows, again], PairSettings(same_source=True))
    assert told(found) == [("q", "top", "top|think", "performance")]


def test_a_worse_answer_is_a_whole_text_of_its_own() -> None:
    good = {"query_id": "q", "arm": "good", "response": "it is 4", "quality": 1.0}
    unfit: list[dict[str, Any]] = [
        {"arm": "empty", "response": "  ", "quality": 0.0},
        {"arm": "cut", "response": "it is 5 as", "quality": 0.0, "finish_reason": "length"},
        {"arm": "failed", "error": "timeout"},
        {"arm": "same", "response": " it is 4 ", "quality": 0.0},
        {"arm": "unscored", "response": "it is 6"},
        {"arm": "misjudged", "response": "surely 4", "quality": 0.0},
    ]
    found = choose([good, *({"query_id": "q", **row} for row in unfit)])
    assert told(found) == []
    trusting = choose([good, {"query_id": "q", **unfit[-1]}], verify=False)
    assert told(trusting) == [("q", "good", "misjudged", "performance")]


def test_lengths_of_a_pair_can_be_kept_alike_and_are_told() -> None:
    rows = [
        {"query_id": "q", "arm": "good", "response": "4", "quality": 1.0, "output_tokens": 10.0},
        {"query_id": "q", "arm": "long", "response": "5 5", "quality": 0.0, "output_tokens": 31.0},
    ]
    assert told(choose(rows, PairSettings(length_ratio=3.0))) == []
    found = choose(rows, PairSettings(length_ratio=3.1))
    account = found.report["pairs"]
    assert (account["chosen"]["mean"], account["rejected"]["mean"]) == (10.0, 31.0)
    assert (account["chosen_longer"], account["chosen_shorter"]) == (0, 1)


def test_only_questions_that_examples_are_taken_of_make_pairs() -> None:
    rows = [
        row for name in "abcd" for row in arms(name, top=(1.0, None, 1.0), bad=(0.0, None, 1.0))
    ]
    found = choose(rows, per_task=2, top_k=1)
    assert len(found.pairs) == 2
    assert [pair.query_id for pair in found.pairs] == [e.query_id for e in found.examples]


def test_held_out_questions_make_no_pairs() -> None:
    rows = [row for name in "ab" for row in arms(name, top=(1.0, None, 1.0), bad=(0.0, None, 1.0))]
    queries = [question("a"), question("b", split="test")]
    found = choose(rows, queries=queries)
    assert [pair.query_id for pair in found.pairs] == ["a"]
