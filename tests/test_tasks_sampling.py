"""Drawing train and test questions: by seed, stable, and without anything in common."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfactory.errors import TaskError
from fusionfactory.normal_text import normal_texts
from fusionfactory.tasks import Draw, Example, draw, make_task, paper_sizes, sample

TASK = make_task("gsm8k")


def _pool(numbers: range | list[int], *, text: str = "Question {}?") -> list[Example]:
    return [Example(f"q{number}", text.format(number), str(number)) for number in numbers]


def _ids(found: Draw, split: str) -> list[str]:
    return [query.id for query in found.queries if query.split == split]


POOLS = st.lists(st.integers(0, 10_000), min_size=2, max_size=60, unique=True)
SEEDS = st.integers(0, 5)


@given(POOLS, st.data(), SEEDS)
def test_the_sides_are_disjoint_and_as_large_as_asked(
    numbers: list[int], data: st.DataObject, seed: int
) -> None:
    test = data.draw(st.integers(0, len(numbers)))
    train = data.draw(st.integers(0, len(numbers) - test))
    found = draw(TASK, _pool(numbers), train=train, test=test, seed=seed)
    ids = [query.id for query in found.queries]
    assert len(ids) == len(set(ids)) == train + test
    assert len(_ids(found, "train")) == train
    assert [query.split for query in found.queries] == ["train"] * train + ["test"] * test


@given(POOLS, st.data(), SEEDS)
def test_neither_order_nor_number_of_rows_matters(
    numbers: list[int], data: st.DataObject, seed: int
) -> None:
    half = len(numbers) // 2
    shuffled = numbers.copy()
    random.Random(seed).shuffle(shuffled)  # noqa: S311
    one = draw(TASK, _pool(numbers), train=half, test=half, seed=seed)
    assert one == draw(TASK, _pool(shuffled), train=half, test=half, seed=seed)


@given(POOLS, SEEDS)
def test_a_larger_draw_holds_the_smaller_one(numbers: list[int], seed: int) -> None:
    half = len(numbers) // 2
    small = draw(TASK, _pool(numbers), train=half // 2, test=half // 2, seed=seed)
    large = draw(TASK, _pool(numbers), train=half, test=half, seed=seed)
    for split in ("train", "test"):
        assert _ids(large, split)[: half // 2] == _ids(small, split)


@given(POOLS, st.lists(st.integers(10_001, 20_000), max_size=40, unique=True), SEEDS)
def test_added_questions_move_none_to_the_other_side(
    numbers: list[int], added: list[int], seed: int
) -> None:
    half = len(numbers) // 2
    before = draw(TASK, _pool(numbers), train=half, test=half, seed=seed)
    after = draw(TASK, _pool([*numbers, *added]), train=half, test=half, seed=seed)
    assert not set(_ids(before, "train")) & set(_ids(after, "test"))
    assert not set(_ids(before, "test")) & set(_ids(after, "train"))


@given(st.lists(st.sampled_from(["a b", "A b!", "a, b", "c", "C?", "d"]), min_size=2), SEEDS)
def test_near_duplicates_stand_on_one_side(texts: list[str], seed: int) -> None:
    pool = [Example(f"q{i}", text, "1") for i, text in enumerate(texts)]
    test = len(pool) // 2
    rest = len(draw(TASK, pool, test=test, seed=seed).queries) - test
    found = draw(TASK, pool, train=rest, test=test, seed=seed)
    sides: dict[str, set[str | None]] = {}
    for query in found.queries:
        (normal,) = normal_texts([query.text])
        sides.setdefault(normal, set()).add(query.split)
    assert all(len(side) == 1 for side in sides.values())


def test_another_seed_draws_others() -> None:
    pool = _pool(range(200))
    draws = {tuple(sorted(_ids(draw(TASK, pool, train=5, test=5, seed=s), "test"))) for s in (0, 1)}
    assert len(draws) == 2


def test_the_draw_of_a_seed_is_pinned() -> None:
    """A change here would change what a resumed collection asks for."""
    found = draw(TASK, _pool(range(50)), train=3, test=3, seed=0)
    assert _ids(found, "train") == ["gsm8k:q0", "gsm8k:q4", "gsm8k:q10"]
    assert _ids(found, "test") == ["gsm8k:q20", "gsm8k:q38", "gsm8k:q43"]


def test_the_paper_s_sizes() -> None:
    assert paper_sizes("gsm8k") == (500, 50)
    assert paper_sizes("mbpp") == (374, 50)
    assert paper_sizes("human_eval") == (114, 50)
    assert paper_sizes("gpqa") == (404, 44)
    found = draw(TASK, _pool(range(1000)))
    assert (len(_ids(found, "train")), len(_ids(found, "test"))) == (500, 50)


def test_a_small_pool_is_shared_by_default() -> None:
    found = draw(TASK, _pool(range(30)))
    assert (len(_ids(found, "train")), len(_ids(found, "test"))) == (15, 15)


def test_gpqa_does_not_leak() -> None:
    """The published code has 40 of its 44 test questions in train."""
    pool = _pool(range(448))
    for seed in range(5):
        found = draw(make_task("gpqa"), pool, seed=seed)
        train, test = _ids(found, "train"), _ids(found, "test")
        assert (len(train), len(test)) == (404, 44)
        assert not set(train) & set(test)


def test_the_source_s_own_splits() -> None:
    train = _pool(range(20))
    test = _pool(range(100, 110), text="Test question {}?")
    leaked = [Example("t1", "question 3", "3"), Example("q4", "Question 4?", "4")]
    found = draw(TASK, train, test_examples=[*test, *leaked], train=20, test=10)
    assert found.dropped == 2
    assert set(_ids(found, "test")) == {f"gsm8k:q{number}" for number in range(100, 110)}
    assert sample(TASK, train, test_examples=test, train=3, test=2)[-1].split == "test"


def test_too_few_questions() -> None:
    pool = _pool(range(10))
    with pytest.raises(
        TaskError, match=r"field 'test': task 'gsm8k' has 10 questions for test, 11"
    ):
        draw(TASK, pool, test=11)
    with pytest.raises(TaskError, match=r"field 'train': .* has 4 questions for train, 5 were"):
        draw(TASK, pool, train=5, test=6)
    with pytest.raises(TaskError, match=r"-1 were asked for"):
        draw(TASK, pool, train=-1, test=0)
    leaked = [Example("t", "Question 1?", "1")]
    with pytest.raises(TaskError, match=r"has 0 questions for test \(1 more stand in train\), 1"):
        draw(TASK, pool, test_examples=leaked, train=1, test=1)


def test_one_source_for_both_sides_is_no_test() -> None:
    pool = _pool(range(10))
    with pytest.raises(TaskError, match=r"all 10 test questions stand in train; give one source"):
        draw(TASK, pool, test_examples=pool, train=5)
    assert draw(TASK, pool, test_examples=pool, train=5, test=0).dropped == 10


def test_a_test_question_that_train_answers_otherwise_is_dropped() -> None:
    pool = [Example("a", "One?", "1"), Example("b", "Two?", "2")]
    held = [Example("a", "One?", "9"), Example("c", "Three?", "3")]
    found = draw(TASK, pool, test_examples=held, train=2)
    assert (_ids(found, "test"), found.dropped) == (["gsm8k:c"], 1)


def test_duplicate_ids() -> None:
    twice = [Example("q", "One?", "1"), Example("q", "Two?", "2")]
    with pytest.raises(
        TaskError, match=r"field 'id': two questions of task 'gsm8k' have the id 'q'"
    ):
        draw(TASK, twice)
    with pytest.raises(TaskError, match="have the id 'q': 'One\\?' and 'Two\\?'"):
        draw(TASK, twice[:1], test_examples=twice[1:], train=1, test=0)
