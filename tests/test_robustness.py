"""Edits, consistency, triggers and collapse: what they do to decisions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfactory.errors import ConfigError, InputError, TableError, UnknownNameError
from fusionfactory.policy import SCENARIOS
from fusionfactory.robustness import (
    EDITS,
    Edit,
    attack,
    consistency,
    dearest,
    edited,
    find_edit,
    find_trigger,
    spread,
)
from fusionfactory.routers import Router, make_router
from fusionfactory.table import OutcomeTable
from fusionfactory.testing import make_table

PERFORMANCE = SCENARIOS["performance"]
TABLE = make_table(240, 3, seed=3)
TRAIN, TEST = TABLE.rows(np.arange(160)), TABLE.rows(np.arange(160, 240))


@pytest.fixture(scope="module")
def router() -> Router:
    return make_router("knn:k=15").fit(TRAIN)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=80))
def test_edits_take_any_text_and_repeat(edit: Edit, text: str) -> None:
    once = edited([text, text], edit, seed=4)
    assert once == edited([text, text], edit, seed=4)
    assert all(isinstance(new, str) for new in once)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_edits_change_a_text_that_has_what_they_edit(edit: Edit) -> None:
    text = "Please  tell me WHO was the  first  queen of Norway\n\n\n\nand why she left it."
    assert edited([text], edit) != [text]


def test_a_typo_leaves_most_words() -> None:
    text = " ".join(f"word{'abcdefghij'[i % 10]}" for i in range(60))
    words = list(zip(text.split(), edited([text], find_edit("typos"))[0].split(), strict=True))
    assert 1 <= sum(old != new for old, new in words) <= 3


def test_typos_differ_between_seeds() -> None:
    text = ["several ordinary words stand here without meaning anything"]
    assert len({edited(text, find_edit("typos"), seed)[0] for seed in range(8)}) > 1


def test_edits_say_what_is_wrong() -> None:
    with pytest.raises(UnknownNameError, match="unknown edit 'shout'; known: lower"):
        find_edit("shout")
    with pytest.raises(InputError, match="expected a list of texts, got one text"):
        edited("one text", EDITS[0])


def test_an_edit_that_changes_nothing_flips_nothing(router: Router) -> None:
    (same,) = consistency(router, TEST, PERFORMANCE, [Edit("same", "", lambda text, _: text)])
    assert (same.flipped, same.quality_lost, same.cost_added_usd) == (0, 0, 0)
    assert same.quality_ci95 == (0, 0)


def test_an_edit_that_swaps_topics_costs_quality(router: Router) -> None:
    blank = Edit("blank", "nothing is left", lambda text, _: "def return list loop python bug")
    rows = consistency(router, TEST, PERFORMANCE, [blank, find_edit("trimmed")], draws=200)
    assert [row.edit for row in rows] == ["blank", "trimmed"]
    assert rows[0].flipped > 0.3
    assert rows[0].quality_lost > 0
    low, high = rows[0].quality_ci95
    assert low < rows[0].quality_lost < high


def test_shifts_use_the_columns_of_the_routers_arms(router: Router) -> None:
    turned = TEST.select_arms(TEST.arm_names[::-1])
    edits = [find_edit("upper"), find_edit("greeting")]
    assert consistency(router, turned, PERFORMANCE, edits, draws=50) == consistency(
        router, TEST, PERFORMANCE, edits, draws=50
    )


def test_a_trigger_is_found_on_train_texts_and_works_on_others(router: Router) -> None:
    target = TABLE.arm_names[1]
    trigger = find_trigger(router, TRAIN.texts, PERFORMANCE, target, words=12)
    assert 0 < len(trigger.text.split()) <= 12
    assert trigger == find_trigger(router, TRAIN.texts, PERFORMANCE, target, words=12)
    done = attack(router, TEST, PERFORMANCE, trigger, draws=50)
    assert done.success > 0.3
    assert done.shift.flipped >= done.success * (1 - done.already)
    assert done.to_json()["trigger"]["place"] == "suffix"


def test_a_router_that_reads_nothing_has_no_trigger() -> None:
    single = make_router("best_single").fit(TRAIN)
    other = next(n for i, n in enumerate(TABLE.arm_names) if i != single.best_single_)
    trigger = find_trigger(single, TRAIN.texts, PERFORMANCE, other)
    assert trigger.text == ""
    assert trigger.added(["a"]) == ["a"]
    done = attack(single, TEST, PERFORMANCE, trigger, draws=50)
    assert (done.success, done.shift.flipped) == (0, 0)


def test_a_target_that_gets_everything_needs_no_trigger() -> None:
    single = make_router("best_single").fit(TRAIN)
    target = TABLE.arm_names[single.best_single_]
    trigger = find_trigger(single, TRAIN.texts, PERFORMANCE, target)
    done = attack(single, TEST, PERFORMANCE, trigger, draws=50)
    assert (trigger.text, done.already, done.success) == ("", 1, 0)


def test_a_prefix_goes_first(router: Router) -> None:
    target = TABLE.arm_names[1]
    trigger = find_trigger(router, TRAIN.texts, PERFORMANCE, target, place="prefix")
    assert trigger.added(["question"]) == [f"{trigger.text}\nquestion"]


def test_triggers_say_what_is_wrong(router: Router) -> None:
    with pytest.raises(TableError, match="unknown arm 'nobody'; the router knows"):
        find_trigger(router, TRAIN.texts, PERFORMANCE, "nobody")
    with pytest.raises(ConfigError, match="must be at least 1, got 0"):
        find_trigger(router, TRAIN.texts, PERFORMANCE, TABLE.arm_names[0], rounds=0)


def test_the_dearest_arm_is_the_one_expected_to_cost_most(router: Router) -> None:
    costs = dict(zip(TABLE.arm_names, TABLE.arm_cost_usd(), strict=True))
    assert dearest(router, TEST.texts) == max(costs, key=lambda name: costs[name])


def test_without_costs_the_best_arm_stands_for_the_dearest() -> None:
    blank = np.full(TRAIN.quality.shape, np.nan)
    free = OutcomeTable(TRAIN.queries, TRAIN.arms, TRAIN.quality, blank, blank, blank, blank, blank)
    router = make_router("knn").fit(free)
    best = int(router.estimate(TEST.texts).quality.mean(axis=0).argmax())
    assert dearest(router, TEST.texts) == TABLE.arm_names[best]


def test_equal_shares_have_all_the_entropy() -> None:
    found = spread(np.arange(100) % 4, 4)
    assert found.entropy == pytest.approx(1)
    assert found.share == pytest.approx(0.25)
    assert found.collapsed() is None


def test_one_arm_is_a_collapse() -> None:
    found = spread(np.full(200, 2), 3)
    assert (found.top, found.share, found.entropy, found.idle) == (2, 1, 0, (0, 1))
    assert found.collapsed() == "top_share"
    assert found.collapsed(top_share=1.0) == "entropy"


def test_few_decisions_are_no_collapse() -> None:
    assert spread(np.zeros(49, dtype=int), 3).collapsed() is None
    assert spread(np.zeros(500, dtype=int), 1).collapsed() is None


def test_a_share_must_be_beyond_the_limit_for_certain() -> None:
    chosen = np.zeros(60, dtype=int)
    chosen[0] = 1
    assert spread(chosen, 2).share > 0.97
    assert spread(chosen, 2).collapsed(entropy=0) is None
    assert spread(np.repeat(chosen, 50), 2).collapsed(entropy=0) == "top_share"


def test_no_decision_has_no_spread() -> None:
    with pytest.raises(InputError, match="there is no decision to measure"):
        spread(np.zeros(0, dtype=int), 3)
