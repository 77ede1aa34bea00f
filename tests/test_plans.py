"""Plans: one contract, one loop, and a cascade that pays for what it needs only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from answered_table import answered_table
from fusionfactory.errors import ConfigError, NotFittedError, PolicyError, TableError
from fusionfactory.plans import execute, load_plan, replay, save_plan
from fusionfactory.plans.cascade import CascadePlan
from fusionfactory.plans.competence import Competence
from fusionfactory.plans.state import Said
from fusionfactory.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

STAGES = [["small-a", "small-b"], ["small-c", "small-d"], ["large"]]


@pytest.fixture(scope="module")
def train() -> OutcomeTable:
    return answered_table(400, seed=1)


@pytest.fixture(scope="module")
def test() -> OutcomeTable:
    return answered_table(400, seed=2)


@pytest.fixture(scope="module")
def cascade(train: OutcomeTable) -> CascadePlan:
    return CascadePlan(stages=STAGES).fit(train)


def test_a_cascade_is_as_good_as_its_best_arm_for_less(
    cascade: CascadePlan, test: OutcomeTable
) -> None:
    done = replay(cascade, test)
    dear = test.arm_names.index("large")
    assert done.quality.mean() >= test.quality[:, dear].mean()
    cheaper = [replay(cascade.at(step), test) for step in range(len(cascade.price_))]
    good = [r for r in cheaper if r.quality.mean() >= test.quality[:, dear].mean() - 0.02]
    assert min(r.cost_usd.mean() for r in good) < 0.9 * test.cost_usd[:, dear].mean()


def test_a_replay_is_priced_by_the_calls_that_it_makes(
    cascade: CascadePlan, test: OutcomeTable
) -> None:
    done = replay(cascade.at(10), test)
    columns = [test.arm_names.index(arm.name) for arm in cascade.arms_]
    assert np.allclose(done.cost_usd, (test.cost_usd[:, columns] * done.called).sum(axis=1))
    rows = np.arange(len(test))
    assert done.called[rows, done.answered].all()
    assert np.array_equal(done.quality, test.quality[:, columns][rows, done.answered])


def test_stages_are_asked_whole(cascade: CascadePlan, test: OutcomeTable) -> None:
    done = replay(cascade.at(8), test)
    for stage in range(3):
        asked = done.called[:, cascade.stage_of_ == stage]
        assert (asked.all(axis=1) == asked.any(axis=1)).all()
    assert 0 < done.called[:, 4].mean() < 1


def test_a_higher_price_spends_less(cascade: CascadePlan, test: OutcomeTable) -> None:
    spent = [replay(cascade.at(step), test).cost_usd.mean() for step in (1, 16, 36)]
    assert spent[0] > spent[1] > spent[2]
    assert spent[2] < 3e-5


def test_a_budget_is_met_and_a_ceiling_holds_for_every_query(
    cascade: CascadePlan, test: OutcomeTable
) -> None:
    within = cascade.under(Policy.budget(0.5))
    assert replay(within, test).cost_usd.mean() <= 0.5e-3 * 1.1
    capped = cascade.under(Policy.parse("performance,max:0.0005"))
    assert replay(capped, test).cost_usd.max() < 1e-3
    with pytest.raises(PolicyError, match=r"costs at least .* over 'budget:0.001'"):
        cascade.under(Policy.budget(0.001))


def test_confidence_is_calibrated(cascade: CascadePlan, test: OutcomeTable) -> None:
    done = replay(cascade.at(8), test)
    assert abs(done.confidence.mean() - done.quality.mean()) < 0.06
    sure = done.confidence > np.median(done.confidence)
    assert done.quality[sure].mean() > done.quality[~sure].mean()


def test_one_query_at_a_time_gives_what_a_batch_gives(
    cascade: CascadePlan, test: OutcomeTable
) -> None:
    plan = cascade.at(10)
    batch = replay(plan, test)
    for row in range(5):
        own = test.rows(np.array([row]))
        alone = replay(plan, own)
        assert np.array_equal(alone.called[0], batch.called[row])
        assert np.isclose(alone.confidence[0], batch.confidence[row])


def test_a_call_of_unknown_cost_makes_the_cost_of_its_query_unknown(
    cascade: CascadePlan, test: OutcomeTable
) -> None:
    known = replay(cascade.at(6), test)
    cost = test.cost_usd.copy()
    dear = test.arm_names.index("large")
    cost[:20, dear] = np.nan
    done = replay(cascade.at(6), replace(test, cost_usd=cost))
    asked = known.called[:20, [arm.name for arm in cascade.arms_].index("large")]
    assert asked.any()
    assert np.array_equal(np.isnan(done.cost_usd[:20]), asked)
    assert np.array_equal(done.cost_usd[20:], known.cost_usd[20:])


def test_what_is_expected_of_a_query_on_train_does_not_come_from_it() -> None:
    table = answered_table(120, seed=9)
    folds = np.arange(120) % 4
    dearer = replace(table, cost_usd=np.where(folds[:, None] == 1, 7.0, table.cost_usd))
    plain = Competence().fit(table, folds).cost_usd
    other = Competence().fit(dearer, folds).cost_usd
    assert np.allclose(plain[folds == 1], other[folds == 1])
    assert not np.allclose(plain[folds == 0], other[folds == 0])


def test_saved_and_loaded_it_does_the_same(
    cascade: CascadePlan, test: OutcomeTable, tmp_path: Path
) -> None:
    save_plan(cascade.at(9), tmp_path / "plan")
    before, after = replay(cascade.at(9), test), replay(load_plan(tmp_path / "plan"), test)
    assert np.array_equal(before.called, after.called)
    assert np.allclose(before.confidence, after.confidence)


def test_arms_that_say_nothing_leave_no_confidence(cascade: CascadePlan) -> None:
    shape = (1, len(cascade.arms_))
    silence = Said(np.full(shape, -1), np.full(shape, np.nan), np.zeros(shape))
    state, advice = execute(cascade, cascade.begin(["add the two numbers 7"]), lambda _: silence)
    assert state.asked[0].any()
    assert advice.answer[0] >= 0
    assert advice.confidence[0] == 0


@pytest.mark.parametrize(
    ("stages", "match"),
    [([["large"], ["large"]], "'large' stands twice"), ([["large"], []], "a stage is empty")],
)
def test_stages_that_cannot_be_run_are_refused(
    stages: list[list[str]], match: str, train: OutcomeTable
) -> None:
    with pytest.raises(ConfigError, match=match):
        CascadePlan(stages=stages).fit(train)


def test_what_it_cannot_learn_from_is_refused(train: OutcomeTable) -> None:
    with pytest.raises(NotFittedError, match="call fit"):
        CascadePlan().begin(["?"])
    with pytest.raises(TableError, match="at least 20 scored queries, got 5"):
        CascadePlan().fit(train.rows(np.arange(5)))
    with pytest.raises(TableError, match="unknown arm 'nobody'"):
        CascadePlan(stages=[["nobody"]]).fit(train)


def test_the_search_finds_cheap_stages_that_keep_the_quality(
    train: OutcomeTable, test: OutcomeTable
) -> None:
    plan = CascadePlan().fit(train)
    assert "large" not in plan.stages_[0]
    dear = test.arm_names.index("large")
    runs = [replay(plan.at(step), test) for step in range(len(plan.price_))]
    good = [r for r in runs if r.quality.mean() >= test.quality[:, dear].mean() - 0.02]
    assert min(r.cost_usd.mean() for r in good) < 0.9 * test.cost_usd[:, dear].mean()
