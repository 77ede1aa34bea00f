"""Answers read alike: by metric, in groups, and one response at a time."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_outcomes import outcome_table
from fusionfactory.answers import (
    EQUIVALENCES,
    AnswerGroups,
    equivalent,
    group_answers,
    incomparable,
    key,
    make_equivalence,
)
from fusionfactory.answers.words import hashed_words
from fusionfactory.errors import TableError, UnknownNameError
from fusionfactory.scorers import SCORERS, make_scorer
from fusionfactory.testing import make_table
from fusionfactory.types import Query

OPTIONS = "Which?\n(A) one\n(B) two\n(C) three\n(D) four"
CRUX = "[PYTHON]\ndef f(x):\n    return x\nassert f('ab') == ??\n[/PYTHON]"


def in_json(answer: str) -> str:
    return '```json\n{"reasoning": "First 3, then 4.", "answer": ' + json.dumps(answer) + "\n}\n```"


@pytest.mark.parametrize(
    ("metric", "question", "one", "other"),
    [
        ("em_mc", OPTIONS, "The answer is (B).", "So **Answer: B**"),
        ("em_mc", OPTIONS, "B", "(b)"),
        ("em_mc", OPTIONS, "It follows.\n\n(C) three", "Answer: C"),
        ("GSM8K", "", in_json("$1,234.00"), "#### 1234"),
        ("GSM8K", "", in_json("2/3"), "The answer is 0.67"),
        ("MATH", "", r"\boxed{\frac{1}{2}}", in_json("0.5")),
        ("MATH", "", r"\boxed{2\sqrt{3}}", r"\boxed{\sqrt{12}}"),
        ("MATH", "", r"\boxed{x = 5}", r"\boxed{5\text{ cm}}"),
        ("MATH", "", r"\boxed{(1, \frac{\pi}{2})}", r"\boxed{\left(1,\dfrac{\pi}{2}\right)}"),
        ("MATH", "", r"\boxed{1, -2}", r"\boxed{\{-2, 1\}}"),
        ("MATH", "", r"\boxed{(x+1)^2}", r"\boxed{x^2+2x+1}"),
        ("MATH", "", r"\boxed{1221_3}", r"\boxed{1221}"),
        ("MATH", "", r"\boxed{\text{Monday}}", r"\boxed{monday}"),
        ("em", CRUX, in_json("'ab'"), in_json("ab")),
        ("em", CRUX, in_json("[1,2]"), in_json("[1, 2]")),
        ("em", CRUX, in_json("{'a': 1, 'b': 2}"), in_json('{"b": 2, "a": 1}')),
        ("em", CRUX, in_json("True"), in_json("1")),
        ("em", CRUX, in_json(""), in_json("''")),
        ("em", CRUX, in_json(r"'\d'"), in_json(r"'\\d'")),
        ("em", "Where?", "The answer is the Eiffel Tower.", "eiffel tower"),
        ("cem", "Is it?", "No, it is not.", "The answer is false"),
        ("f1_score", "Who?", "<answer>The Beatles</answer>", "Beatles"),
    ],
)
def test_equivalent_answers(metric: str, question: str, one: str, other: str) -> None:
    assert equivalent(metric, one, other, question=question)
    assert equivalent(metric, other, one, question=question)


@pytest.mark.parametrize(
    ("metric", "question", "one", "other"),
    [
        ("em_mc", OPTIONS, "The answer is (B).", "The answer is (C)."),
        ("em_mc", OPTIONS, "The answer is (B).\nThe answer is (C).", "The answer is (C)."),
        ("em_mc", OPTIONS, "", ""),
        ("GSM8K", "", "#### 5", "#### -5"),
        ("MATH", "", r"\boxed{(1, 2)}", r"\boxed{(2, 1)}"),
        ("MATH", "", r"\boxed{(0, 5]}", r"\boxed{(0, 5)}"),
        ("MATH", "", r"\boxed{x+y}", r"\boxed{x-y}"),
        ("MATH", "", r"\boxed{4i}", r"\boxed{4}"),
        ("em", CRUX, in_json("'816'"), in_json("816")),
        ("em", CRUX, in_json("Ab"), in_json("ab")),
        ("em", CRUX, in_json("[1, 2]"), in_json("(1, 2)")),
        ("cem", "Is it?", "Yes.", "No."),
        ("cem", "Why?", "so it goes " * 9, "so it goes " * 9),
    ],
)
def test_answers_that_differ(metric: str, question: str, one: str, other: str) -> None:
    assert not equivalent(metric, one, other, question=question)


def test_a_response_that_only_mentions_an_option_gives_no_answer() -> None:
    text = "We get 4.1, and the closest option is (C), which is too large to be of use."
    assert key("em_mc", text, question=OPTIONS) is None
    assert key("em_mc", "The answer is (B) and (C).", question=OPTIONS) is None


def test_what_was_cut_off_is_no_expression() -> None:
    assert key("MATH", r"First we see that\n&= \frac{1}{3}(x^2 + \frac{2}{") is None


def test_every_scorer_has_an_equivalence_of_its_name() -> None:
    assert set(EQUIVALENCES.names()) == set(SCORERS.builtin)
    with pytest.raises(UnknownNameError, match="unknown equivalence 'bleu'; known: multiple_"):
        make_equivalence("bleu")


@settings(deadline=None)
@given(st.text(max_size=60))
@pytest.mark.parametrize("metric", ["em", "em_mc", "GSM8K", "MATH", "cem"])
def test_any_text_is_read_and_equals_itself(metric: str, text: str) -> None:
    for question in ("", CRUX):
        found = key(metric, text, question=question)
        assert found is None or equivalent(metric, text, text, question=question)


@settings(deadline=None)
@given(st.integers(-999, 999), st.integers(1, 99))
def test_equal_fractions_have_one_key_and_are_scored_alike(top: int, bottom: int) -> None:
    responses = [rf"\boxed{{\frac{{{n * top}}}{{{n * bottom}}}}}" for n in (1, 2)]
    assert key("MATH", responses[0]) == key("MATH", responses[1])
    scorer = make_scorer("number")
    assert scorer.score(Query("q:1", "?", target=f"{top}/{bottom}"), responses[1]).value == 1


# Groups


def test_groups_are_numbered_by_the_order_of_the_arms() -> None:
    queries = [
        Query("q:1", "How many?", target="2/3", metric="number"),
        Query("q:2", OPTIONS, target="A", metric="em_mc"),
        Query("q:3", "Write.", metric="judge"),
    ]
    responses: list[list[str | None]] = [
        ["#### 7", "#### 0.67", None, "#### 2/3", "#### 7.0"],
        ["The answer is (A).", "none", "", "Answer: D", "A"],
        ["same", "same", "same", None, "other"],
    ]
    table = outcome_table(queries, list("vwxyz"), [[1.0] * 5] * 3, responses=responses)
    found = group_answers(table)
    assert found.groups.tolist() == [[0, 1, -1, 1, 0], [0, -1, -1, 1, 0], [-1] * 5]
    assert found.lengths[0].tolist()[:2] == [6, 9]
    assert np.isnan(found.lengths[0, 2])
    assert found.lengths[1, 2] == 0


def test_answers_to_a_metric_without_an_equivalence_agree_with_nobody() -> None:
    """One such query must not keep the others from being compared."""
    metrics = ["bleu", "number", "bleu", None, "judge"]
    queries = [Query(f"q:{i}", "?", target="7", metric=metric) for i, metric in enumerate(metrics)]
    responses: list[list[str | None]] = [["#### 7", "#### 7"]] * 5
    table = outcome_table(queries, list("yz"), [[1.0] * 2] * 5, responses=responses)
    assert group_answers(table).groups.tolist() == [[-1, -1], [0, 0], *[[-1, -1]] * 3]
    assert incomparable(table) == {"bleu": 2, "": 1, "judge": 1}


def test_one_number_between_two_others_joins_them() -> None:
    query = Query("q:1", "How many?", target="2/3", metric="number")
    responses = [["#### 0.67", "#### 0.6667", "#### 2/3", "#### 0.66"]]
    table = outcome_table([query], list("wxyz"), [[1.0] * 4], responses=responses)
    assert group_answers(table).groups.tolist() == [[0, 0, 0, 1]]


def test_rows_and_columns_are_taken_of_groups() -> None:
    texts = ["", "a", "to", "yes", "four", "a to b", "six to", "a seven"]
    sure = -np.arange(8.0).reshape(2, 4)
    groups = AnswerGroups.of(np.array([[0, 1, -1, 1], [0, 0, 1, 2]]), texts, sure)
    picked = groups.columns([3, 2, 0])
    assert picked.groups.tolist() == [[0, -1, 1], [0, 1, 2]]
    assert picked.lengths.tolist() == [[3, 2, 0], [7, 6, 4]]
    assert picked.logprobs.tolist() == [[-3, -2, 0], [-7, -6, -4]]
    last = groups.rows(np.array([False, True]))
    assert last.groups.tolist() == [[0, 0, 1, 2]]
    assert last.logprobs.tolist() == [[-4, -5, -6, -7]]
    own = hashed_words(["six to", "a to b"]).toarray()
    assert np.array_equal(last.columns([2, 1]).words.toarray(), own)


def test_groups_know_how_sure_the_arms_were() -> None:
    query = Query("q:1", "How many?", target="7", metric="number")
    table = outcome_table([query], list("yz"), [[1.0] * 2], responses=[["#### 7", "#### 8"]])
    assert np.isnan(group_answers(table).logprobs).all()
    told = replace(table, logprob=np.array([[-0.5, np.nan]]))
    assert group_answers(told).logprobs[0].tolist() == pytest.approx([-0.5, np.nan], nan_ok=True)


def test_a_table_without_responses_is_refused() -> None:
    with pytest.raises(TableError, match="holds no responses, and answers are compared by what"):
        group_answers(make_table())
