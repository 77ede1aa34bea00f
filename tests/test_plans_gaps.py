"""Plans on outcomes with gaps: what is not recorded is neither free, nor wrong, nor known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from answered_table import answered_table
from fusionfactory.errors import ConfigError, PolicyError
from fusionfactory.plans import make_plan, replay
from fusionfactory.plans.cascade import CascadePlan
from fusionfactory.plans.costs import filled_costs
from fusionfactory.plans.curve import guaranteed
from fusionfactory.plans.state import Said
from fusionfactory.plans.vote import VotePlan
from fusionfactory.policy import Policy

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray

STAGES = [["small-a", "small-b"], ["large"]]


@pytest.fixture(scope="module")
def test() -> OutcomeTable:
    return answered_table(300, seed=2)


def _without(table: OutcomeTable, cells: BoolArray, *names: str) -> OutcomeTable:
    gone: dict[str, Any] = {name: np.where(cells, np.nan, getattr(table, name)) for name in names}
    return replace(table, **gone)


def _unpriced(table: OutcomeTable, *arms: str) -> OutcomeTable:
    return _without(table, np.isin(table.arm_names, arms)[None, :], "cost_usd")


def test_a_budget_is_kept_though_calls_are_missing(test: OutcomeTable) -> None:
    table = answered_table(300, seed=3)
    gaps = np.random.default_rng(0).random(table.quality.shape) < 0.4
    table = _without(table, gaps, "quality", "cost_usd")
    assert table.responses is not None
    responses = table.responses.copy()
    responses[gaps] = None
    table = replace(table, responses=responses)
    plan = CascadePlan(stages=STAGES).fit(table)
    done = replay(plan, test)
    assert plan.spend_usd_[0] == pytest.approx(done.cost_usd.mean(), rel=0.1)
    assert plan.gain_[0] == pytest.approx(done.quality.mean(), abs=0.1)
    within = replay(plan.under(Policy.budget(0.5)), test)
    assert within.cost_usd.mean() < 0.6e-3


def test_an_arm_of_unknown_cost_is_never_within_a_ceiling(test: OutcomeTable) -> None:
    plan = CascadePlan(stages=STAGES).fit(_unpriced(answered_table(200, seed=1), "large"))
    dear = [arm.name for arm in plan.arms_].index("large")
    assert replay(plan, test).called[:, dear].any()
    capped = plan.under(Policy("capped", 1.0, 0.0, max_cost_usd=0.01))
    assert not replay(capped, test).called[:, dear].any()


def test_where_no_cost_is_known_none_can_be_kept(test: OutcomeTable) -> None:
    table = answered_table(200, seed=1)
    plan = CascadePlan(stages=STAGES).fit(_unpriced(table, *table.arm_names))
    assert replay(plan.under(Policy("free", 1.0, 0.0)), test).quality.mean() > 0.7
    with pytest.raises(PolicyError, match="no arm's cost is known"):
        plan.under(Policy.budget(0.5))


def test_a_missing_cost_counts_as_the_arms_mean_or_as_the_dearest() -> None:
    table = answered_table(50)
    gaps = np.zeros(table.quality.shape, bool)
    gaps[:10, 4] = gaps[:, 0] = True
    filled = filled_costs(_without(table, gaps, "cost_usd"))
    assert np.allclose(filled[:, 4], 1e-3)
    assert np.allclose(filled[:, 0], 1e-3)
    assert not filled_costs(_unpriced(table, *table.arm_names)).any()


def test_answers_that_nobody_scored_are_not_wrong(test: OutcomeTable) -> None:
    table = answered_table(400, seed=3)
    unscored = np.random.default_rng(0).random(table.quality.shape) < 0.6
    plan = CascadePlan(stages=STAGES).fit(_without(table, unscored, "quality"))
    done = replay(plan, test)
    assert done.confidence.mean() == pytest.approx(done.quality.mean(), abs=0.07)


def test_queries_that_nobody_scored_teach_nothing(test: OutcomeTable) -> None:
    table = answered_table(120, seed=3)
    unscored = np.arange(120)[:, None] >= 60
    whole = CascadePlan(stages=STAGES).fit(_without(table, unscored, "quality"))
    part = CascadePlan(stages=STAGES).fit(table.rows(np.arange(60)))
    assert np.array_equal(replay(whole, test).confidence, replay(part, test).confidence)


@pytest.mark.parametrize("spec", ["cascade", "vote"])
def test_arms_that_never_say_anything_comparable_are_told_apart_by_their_quality(
    spec: str, test: OutcomeTable
) -> None:
    def silent(table: OutcomeTable) -> OutcomeTable:
        assert table.responses is not None
        return replace(table, responses=np.full_like(table.responses, "I do not know"))

    done = replay(make_plan(spec).fit(silent(answered_table(200, seed=1))), silent(test))
    assert done.quality.mean() == pytest.approx(test.quality[:, 4].mean(), abs=0.02)
    assert not done.confidence.any()


def test_a_cascade_of_the_only_arm_asks_it(test: OutcomeTable) -> None:
    plan = CascadePlan().fit(answered_table(60).select_arms(["large"]))
    assert plan.stages_ == [["large"]]
    assert replay(plan, test).called.all()


def test_one_fold_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be at least 2, got 1"):
        make_plan("vote:folds=1").fit(answered_table(60))


def test_a_loss_is_not_promised_from_queries_without_outcomes(test: OutcomeTable) -> None:
    plan = CascadePlan(stages=[["small-a"], ["large"]]).fit(answered_table(100))
    unscored = _without(test, np.ones(test.quality.shape, bool), "quality")
    with pytest.raises(PolicyError, match="no query has a recorded outcome"):
        guaranteed(plan, unscored, loss=0.1)


def test_arms_without_a_say_are_not_asked_once_an_answer_stands(test: OutcomeTable) -> None:
    plan = VotePlan(voters=list(test.arm_names)).fit(answered_table(200, seed=1))
    plan.head_start_ = -100.0
    state = plan.begin(test.texts)
    first = plan.advise(state).call
    assert (first.sum(axis=1) == 1).all()
    shape = state.asked.shape
    said = Said(np.zeros(shape, int), np.full(shape, 3.0), np.zeros(shape))
    assert not plan.advise(state.told(first, said)).call.any()
