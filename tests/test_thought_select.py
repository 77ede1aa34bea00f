"""Which answers a template is written from: right ones, ranked by a criterion, never by chance."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_outcomes import outcome_table
from fusionfactory.errors import ThoughtError
from fusionfactory.thoughts.template import Source
from fusionfactory.thoughts.writing.select import Selection, merged, select
from fusionfactory.types import Query

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

ARMS = ("a", "b", "c", "d", "e", "f")
QUERY = Query("q", "Why?", "t", "own", "because", "contains", "train")


def table(
    quality: list[float | None],
    *,
    cost: list[float | None] | None = None,
    judge: list[float | None] | None = None,
    responses: list[str | None] | None = None,
) -> OutcomeTable:
    """One query."""
    return outcome_table(
        [QUERY],
        ARMS[: len(quality)],
        [quality],
        cost=None if cost is None else [cost],
        judge=None if judge is None else [judge],
        responses=None if responses is None else [responses],
    )


def arms(selections: list[Selection]) -> list[str]:
    (only,) = selections
    return [outcome.arm for outcome in only.sources]


def test_performance_takes_the_cheapest_right_answers() -> None:
    log = table([1, 1, 0, 1, 1], cost=[5.0, 2.0, 1.0, None, 3.0])
    assert arms(select(log)) == ["b", "e", "a"]
    assert arms(select(log, keep=9)) == ["b", "e", "a", "d"]
    assert arms(select(log, keep=1)) == ["b"]


def test_a_better_answer_comes_before_a_cheaper_one() -> None:
    log = table([0.6, 0.9, 0.4, 1.0], cost=[1.0, 3.0, 0.5, 4.0])
    assert arms(select(log, min_quality=0.5)) == ["d", "b", "a"]


def test_judge_takes_the_best_judged_right_answers() -> None:
    log = table([1, 1, 1, 0, 1], cost=[5.0, 2.0, 1.0, 1.0, 1.0], judge=[0.8, 0.8, 0.3, 1.0, None])
    assert arms(select(log, criterion="judge")) == ["b", "a", "c"]


def test_hybrid_lets_the_judge_choose_among_the_finalists() -> None:
    log = table(
        [1, 1, 1, 1, 1, 1],
        cost=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        judge=[0.3, 0.6, 0.6, 0.8, 0.3, 1.0],
    )
    assert arms(select(log, criterion="hybrid")) == ["d", "b", "c"]
    assert arms(select(log, criterion="hybrid", finalists=2)) == ["b", "a"]
    assert arms(select(log, criterion="hybrid", finalists=6)) == ["f", "d", "b"]
    assert arms(select(log, criterion="judge")) == ["f", "d", "b"]


def test_only_the_arms_asked_for_are_sources() -> None:
    log = table([1, 1, 1], cost=[1.0, 2.0, 3.0])
    assert arms(select(log, source_arms=["c", "b", "c"])) == ["b", "c"]
    with pytest.raises(ThoughtError, match=r"'source_arms': no arm 'z' in the table; it has: a, b"):
        select(log, source_arms=["a", "z"])


def test_wrong_missing_and_empty_answers_are_never_chosen() -> None:
    log = table([1, 1, None, 0.99, 1], responses=["yes", " \n", "x", "y", None])
    assert arms(select(log)) == ["a"]
    assert select(table([0, None, 0.5])) == []


def test_an_answer_that_repeats_another_one_is_passed_over() -> None:
    log = table([1, 1, 1], cost=[1.0, 2.0, 3.0], responses=["(B)", "(B) ", "B, because"])
    assert arms(select(log)) == ["a", "c"]


def test_a_source_is_the_outcome_that_it_was() -> None:
    log = table([1, 0], cost=[0.5, 1.0], judge=[0.8, 0.0])
    (only,) = select(log, sample=2)
    (outcome,) = only.sources
    assert only.query == QUERY
    assert only.keys == (Source("q", "a", 2),)
    assert (outcome.response, outcome.cost_usd, outcome.input_tokens) == ("a on q", 0.5, 10)
    assert outcome.output_tokens is None
    assert [(s.name, s.value) for s in outcome.scores] == [("performance", 1.0), ("llm_judge", 0.8)]


# Ties


def many(count: int, **cells: Any) -> OutcomeTable:  # noqa: ANN401
    queries = [Query(f"q{i}", f"question {i}") for i in range(count)]
    return outcome_table(queries, ARMS, np.ones((count, len(ARMS))).tolist(), **cells)


def test_equal_answers_are_drawn_evenly_whatever_their_length() -> None:
    count = 3_000
    responses = [["x" * (1 + 50 * column) for column in range(len(ARMS))]] * count
    first = Counter(s.sources[0].arm for s in select(many(count, responses=responses), keep=1))
    assert set(first) == set(ARMS)
    assert max(first.values()) - min(first.values()) < 0.25 * count / len(ARMS)


@given(st.permutations(ARMS), st.integers(0, 5))
def test_the_order_of_columns_and_rows_chooses_nothing(order: list[str], seed: int) -> None:
    log = many(20)
    turned = log.select_arms(order).rows(np.arange(20)[::-1])
    there = {s.query.id: s.keys for s in select(log, seed=seed)}
    assert {s.query.id: s.keys for s in select(turned, seed=seed)} == there


def test_a_seed_draws_again_and_the_same_seed_the_same() -> None:
    log = many(50)
    assert select(log) == select(log)
    assert [s.keys for s in select(log)] != [s.keys for s in select(log, seed=1)]


# Several criteria


def test_criteria_that_choose_alike_share_a_selection() -> None:
    queries = [Query("p", "P?"), Query("q", "Q?")]
    log = outcome_table(
        queries,
        ("a", "b"),
        [[1, 1], [1, 1]],
        cost=[[1.0, 2.0]] * 2,
        judge=[[0.8, 0.6], [0.6, 0.8]],
    )
    both = merged([select(log), select(log, criterion="judge")])
    assert [(s.query.id, [o.arm for o in s.sources], s.criteria) for s in both] == [
        ("p", ["a", "b"], ("performance", "judge")),
        ("q", ["a", "b"], ("performance",)),
        ("q", ["b", "a"], ("judge",)),
    ]
    assert merged([both, both]) == both
    assert merged([]) == []


# What cannot be used


@pytest.mark.parametrize(("options", "message"), [
    ({"criterion": "length"}, "'length' is no criterion; expected one of performance, judge"),
    ({"keep": 0}, "field 'keep': 0 answers are none to choose"),
    ({"finalists": 0}, "field 'finalists': 0 answers are none to choose"),
    ({"min_quality": 0.0}, "field 'min_quality': 0.0 is no quality of a right answer"),
    ({"criterion": "judge"}, "'judge' needs a judge's scores and there are none"),
    ({"criterion": "hybrid"}, "'hybrid' needs a judge's scores and there are none"),
])  # fmt: skip
def test_wrong_use(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ThoughtError, match=message):
        select(table([1, 0]), **options)


def test_a_judge_of_other_arms_is_none() -> None:
    log = table([1, 1], judge=[0.8, None])
    with pytest.raises(ThoughtError, match="needs a judge's scores"):
        select(log, criterion="judge", source_arms=["b"])


def test_a_table_without_responses_or_scores() -> None:
    with pytest.raises(ThoughtError, match=r"'response': the table holds no responses"):
        select(replace(table([1]), responses=None))
    with pytest.raises(ThoughtError, match=r"'performance': no answer has a quality: score them"):
        select(table([None, None]))
