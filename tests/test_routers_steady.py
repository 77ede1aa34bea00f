"""Steady decisions: what is put around a question does not count, and the question does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfactory.errors import ConfigError, UnsupportedError
from fusionfactory.policy import SCENARIOS
from fusionfactory.robustness import consistency, find_edit
from fusionfactory.routers import Router, load_router, make_router, save_router
from fusionfactory.routers.novelty import Discriminant, Novelty
from fusionfactory.routers.purifier import Purifier
from fusionfactory.routers.wording import plain, shortened
from fusionfactory.testing import check_router, make_table

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.types import FloatArray, IntArray

PERFORMANCE = SCENARIOS["performance"]
TABLE = make_table(360, 3, seed=3)
TRAIN, TEST = TABLE.rows(np.arange(260)), TABLE.rows(np.arange(260, 360))
DRESSED = ("lower", "upper", "spaced", "trimmed", "quotes", "quoted")


@pytest.fixture(scope="module")
def router() -> Router:
    return make_router("steady:base=knn:k=15").fit(TRAIN)


def test_the_contract_holds_for_a_base_with_an_encoder_of_its_own() -> None:
    check_router(lambda: make_router("steady:base=knn:k=9;encoder=hashing,new=0.2"))


def test_the_base_gets_its_parameters_and_those_of_the_wrapper() -> None:
    made = make_router("steady:base=knn:k=9;encoder=hashing", seed=4).fit(TRAIN).state()[0]
    base = made["fitted"]["base_"]
    assert (base["name"], base["params"]["k"], base["params"]["seed"]) == ("knn", 9, 4)
    assert base["params"]["encoder"] == "hashing"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  Who  WAS\tfirst?\r\n\n\n At all? ", "who was first?\nat all?"),
        ("“Who was first?”", "who was first?"),
        ("> Who was\n> > first?", "who was\nfirst?"),
        ("\ufeffWho\u200b was \uff46irst?", "who was first?"),
        ('""', '""'),
        ("", ""),
    ],
)
def test_plain_texts(text: str, wanted: str) -> None:
    assert plain(text) == wanted


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=60))
def test_plain_is_never_empty_unless_the_text_is(text: str) -> None:
    assert bool(plain(text)) == bool(text)


def test_a_text_is_shortened_at_either_end_by_few_words() -> None:
    text = "hello there. one two three four five six seven\nmany thanks"
    assert shortened(text, 3) == [
        "one two three four five six seven\nmany thanks",
        "hello there. one two three four five six seven",
    ]
    assert shortened(text, 1) == []
    assert shortened("no end in sight", 9) == []


def test_what_dresses_a_question_changes_no_decision(router: Router) -> None:
    rows = consistency(router, TEST, PERFORMANCE, [find_edit(name) for name in DRESSED], draws=20)
    assert [row.flipped for row in rows] == [0] * len(DRESSED)


def test_what_follows_a_question_is_left_out() -> None:
    purifier = Purifier()
    purifier.fit(TRAIN.texts, TRAIN.groups())
    asked = purifier.purify(TEST.texts)[0]
    added = purifier.purify([f"{text}\nriver loop capital" for text in TEST.texts])[0]
    assert np.mean([a == b for a, b in zip(asked, added, strict=True)]) > 0.8
    assert np.mean([a == plain(b) for a, b in zip(asked, TEST.texts, strict=True)]) > 0.9


def test_few_training_queries_are_shortened() -> None:
    texts = [f"{text}. {text[:12]}\n{text[5:]}" for text in TRAIN.texts]
    for changed in (0.0, 0.1):
        kept = Purifier(changed=changed).fit(texts, TRAIN.groups())
        assert np.mean([a != plain(b) for a, b in zip(kept, texts, strict=True)]) <= changed


def test_added_text_flips_fewer_decisions_than_without_purifying(router: Router) -> None:
    bare = make_router("knn:k=15").fit(TRAIN)
    added = [f"{text}\nking of the river" for text in TEST.texts]

    def flipped(some: Router) -> float:
        before = some.choose(some.estimate(TEST.texts), PERFORMANCE)
        return float((some.choose(some.estimate(added), PERFORMANCE) != before).mean())

    assert flipped(router) < flipped(bare) / 2


def test_a_saved_router_purifies_as_before(router: Router, tmp_path: Path) -> None:
    save_router(router, tmp_path / "router")
    added = [f"Hi there!\n{text}\nking of the river" for text in TEST.texts]
    found = load_router(tmp_path / "router").estimate(added).quality
    np.testing.assert_array_equal(found, router.estimate(added).quality)


def test_prices_change_without_a_refit() -> None:
    fitted = make_router("steady:base=knn:k=15").fit(TRAIN)
    before = fitted.estimate(TEST.texts).cost_usd
    name, price = TABLE.arm_names[0], TABLE.prices[0]
    fitted.set_prices({name: (2 * price[0], 2 * price[1])})
    after = fitted.estimate(TEST.texts).cost_usd
    np.testing.assert_allclose(after[:, 0], 2 * before[:, 0])
    np.testing.assert_allclose(after[:, 1:], before[:, 1:])
    assert fitted.arms_[0].input_price == 2 * price[0]


def test_a_base_that_knows_one_policy_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="'knn-paper' learns the labels of one policy"):
        make_router("steady:base=knn-paper").fit(TRAIN)


def test_shares_are_checked() -> None:
    with pytest.raises(ConfigError, match="'new': must be at least 0 and below 1, got 1"):
        make_router("steady:base=knn,new=1").fit(TRAIN)


def blobs(seed: int, topics: int) -> tuple[FloatArray, IntArray]:
    """Topics in a circle, which overlap a little."""
    rng = np.random.default_rng(seed)
    labels = np.arange(100 * topics) % topics
    turn = 2 * np.pi * labels / topics
    return np.stack([np.cos(turn), np.sin(turn)], axis=1) * 4 + rng.normal(
        size=(len(turn), 2)
    ), labels


def test_a_query_between_topics_is_likelier_new() -> None:
    rows, labels = blobs(0, 6)
    quality = np.eye(6)[labels][:, :3]
    novelty = Novelty(prior=0.3).fit(rows, labels, np.arange(len(rows)), quality)
    inside, between = novelty.predict(np.array([[4.0, 0.0], [0.0, 0.0]]))
    assert inside < 0.2
    assert between > 0.5


def test_nothing_is_new_where_topics_are_few_or_none_is_expected() -> None:
    for topics, prior in ((2, 0.3), (6, 0.0)):
        rows, labels = blobs(0, topics)
        quality = np.eye(topics)[labels]
        novelty = Novelty(prior=prior).fit(rows, labels, np.arange(len(rows)), quality)
        assert not novelty.predict(np.zeros((1, 2))).any()


def test_on_a_new_topic_the_best_single_arm_leads() -> None:
    rows, labels = blobs(0, 5)
    quality = np.tile([0.6, 0.5], (len(labels), 1))
    quality[labels == 0] = 0.4, 0.7
    novelty = Novelty().fit(rows, labels, np.arange(len(rows)), quality)
    assert novelty.spread_.tolist() == pytest.approx([0, np.std([0.3, -0.1, -0.1, -0.1, -0.1])])
    assert novelty.quality_.argmax() == 0


def test_odds_of_topics_are_calibrated_on_gaussian_topics() -> None:
    rows, labels = blobs(1, 4)
    odds = Discriminant().fit(rows, labels).predict(blobs(2, 4)[0])
    right = odds.argmax(axis=1) == blobs(2, 4)[1]
    assert odds.max(axis=1).mean() == pytest.approx(right.mean(), abs=0.05)
    np.testing.assert_allclose(odds.sum(axis=1), 1)


def test_with_new_tasks_expected_odd_questions_go_to_the_best_single_arm_more() -> None:
    table = TRAIN.select_arms(TRAIN.arm_names)
    odd = ["add def king", "sum bug river total loop city", "minus list born digits python year"]
    wary = make_router("steady:base=knn:k=15,new=0.9").fit(table)
    trusting = make_router("steady:base=knn:k=15").fit(table)

    def lead(some: Router) -> FloatArray:
        quality = some.estimate(odd).quality
        return np.asarray(quality.max(axis=1) - quality[:, some.best_single_])

    assert wary.best_single_ == trusting.best_single_
    assert lead(wary).sum() < lead(trusting).sum()
