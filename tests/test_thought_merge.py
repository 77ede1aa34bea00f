"""Near-duplicate templates of a task become one, with the sources of all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fusionfactory.encoders.hashing import HashingEncoder
from fusionfactory.errors import ThoughtError
from fusionfactory.thoughts.template import Source, ThoughtTemplate
from fusionfactory.thoughts.writing.merge import merge


def template(
    text: str, *queries: str, task: str | None = "t", criteria: tuple[str, ...] = ("performance",)
) -> ThoughtTemplate:
    sources = tuple(Source(query, "m") for query in queries)
    return ThoughtTemplate(text, f"Q {queries[0]}", "A", sources, criteria, "w", "1", task)


def vectors(templates: list[ThoughtTemplate]) -> np.ndarray[tuple[int, ...], np.dtype[np.floating]]:
    return HashingEncoder().encode([t.text for t in templates])


ADD = "Add up the costs of all items, then take off the rebate at the end."
AGAIN = "Add up the costs of all items, then take off the rebate at the end!"
SOLVE = "Isolate the unknown on one side and divide by its factor."


def test_near_duplicates_become_one_with_the_sources_of_all() -> None:
    several = [template(ADD, "a"), template(SOLVE, "b"), template(AGAIN, "c", "d")]
    merged = merge(several, np.array([[1, 0], [0, 1], [1, 0.1]]))
    assert [t.text for t in merged] == [SOLVE, AGAIN]
    assert merged[1].sources == (Source("c", "m"), Source("d", "m"), Source("a", "m"))
    assert merged[1].query_ids == {"a", "c", "d"}
    assert merged[1].question == "Q c"


def test_criteria_are_united_own_first() -> None:
    several = [
        template(ADD, "a", "b", criteria=("judge",)),
        template(ADD, "a", criteria=("performance", "judge")),
        template(ADD, "c", criteria=("own",)),
    ]
    (one,) = merge(several, vectors(several))
    assert one.criteria == ("judge", "performance", "own")
    assert one.sources == (Source("a", "m"), Source("b", "m"), Source("c", "m"))


def test_templates_of_other_tasks_stay_apart() -> None:
    several = [template(ADD, "a"), template(ADD, "b", task="u"), template(ADD, "c", task=None)]
    apart = merge(several, vectors(several))
    assert [replace(one, notes=()) for one in apart] == several
    assert [one.notes for one in apart] == [(one.id,) for one in several]


def test_templates_of_other_subjects_stay_apart() -> None:
    several = [replace(template(ADD, d), domain=d) for d in ("law", "physics")]
    assert [one.domain for one in merge(several, vectors(several))] == ["law", "physics"]


def test_words_that_most_templates_share_do_not_make_them_alike() -> None:
    frame = "Grade school word problems that end in one number. Steps: {}. End with the number."
    tails = ("halve the price", "count the legs", "sum the ages", "halve the price")
    several = [template(frame.format(t), f"q{i}") for i, t in enumerate(tails)]
    alike = np.ones((4, 3))
    merged = merge(several, alike)
    assert len(merged) == 3
    assert sorted(len(t.sources) for t in merged) == [1, 1, 2]


def test_the_vectors_decide_too() -> None:
    several = [template(ADD, "a"), template(AGAIN, "b")]
    assert len(merge(several, np.eye(2))) == 2
    assert len(merge(several, np.eye(2), threshold=0.001)) == 2
    assert len(merge(several, np.ones((2, 2)), threshold=1.0)) == 1


def test_equal_texts_are_one_whatever_their_vectors() -> None:
    several = [template(ADD, "a"), template(ADD, "b")]
    assert len(merge(several, np.zeros((2, 3)))) == 1


def test_no_text_is_shared_with_a_question_whose_answer_it_holds() -> None:
    several = [template(ADD, "a", "b"), template(AGAIN, "c"), template(AGAIN, "d")]
    vectors = np.ones((3, 1))
    merged = merge(several, vectors, gives_away=lambda _, note: note.question == "Q d")
    assert [(t.text, sorted(t.query_ids)) for t in merged] == [
        (ADD, ["a", "b", "c"]),
        (AGAIN, ["d"]),
    ]


def test_a_zero_vector_resembles_nothing() -> None:
    several = [template(ADD, "a"), template(AGAIN, "b")]
    assert len(merge(several, np.zeros((2, 3)))) == 2


def test_the_order_of_templates_does_not_matter() -> None:
    texts = [ADD, AGAIN, SOLVE, ADD.replace("costs", "prices")] * 3
    several = [template(text, f"q{i}") for i, text in enumerate(texts)]
    there = {t.id: t.query_ids for t in merge(several, vectors(several))}
    turned = several[::-1]
    assert {t.id: t.query_ids for t in merge(turned, vectors(turned))} == there
    assert sum(map(len, there.values())) == len(texts)


def test_thousands_of_templates_merge_across_blocks() -> None:
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(400)]
    texts = [" ".join(rng.choice(words, 12, replace=False)) for _ in range(700)]
    several = [template(text, f"q{i}") for i, text in enumerate(texts + texts)]
    merged = merge(several, vectors(several))
    assert len(merged) == 700
    assert {len(t.sources) for t in merged} == {2}


def test_nothing_is_merged_of_nothing() -> None:
    assert merge([], np.zeros((0, 4))) == []


@pytest.mark.parametrize("rows", [np.zeros((1, 2)), np.full((2, 2), np.nan), np.zeros(2)])
def test_vectors_must_be_one_row_per_template(
    rows: np.ndarray[tuple[int, ...], np.dtype[np.floating]],
) -> None:
    with pytest.raises(ThoughtError, match="expected 2 rows of finite numbers"):
        merge([template(ADD, "a"), template(SOLVE, "b")], rows)


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_the_threshold_is_a_cosine(threshold: float) -> None:
    with pytest.raises(ThoughtError, match="no cosine to merge from"):
        merge([template(ADD, "a")], np.ones((1, 2)), threshold=threshold)
