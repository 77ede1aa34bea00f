"""Guarantees: a promised loss or budget holds on average over new queries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from answered_table import answered_table
from fusionfactory.errors import PolicyError
from fusionfactory.plans import replay
from fusionfactory.plans.cascade import CascadePlan
from fusionfactory.plans.conformal import boldest
from fusionfactory.plans.curve import Point, curve, guaranteed, hull


def test_the_promised_loss_holds_over_many_resplits() -> None:
    rng = np.random.default_rng(0)
    bold = np.linspace(0.0, 0.5, 26)
    losses = (rng.random((600, 1)) < bold).astype(float)
    found = []
    for _ in range(200):
        order = rng.permutation(600)
        rule = boldest(losses[order[:100]], 0.2)
        found.append(losses[order[100:], rule].mean())
    assert np.mean(found) <= 0.2
    assert np.mean(found) > 0.12


def test_a_promise_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"from 9 queries the safest rule .* at most 0\.1"):
        boldest(np.zeros((9, 3)), 0.05)


def test_a_plan_is_set_to_a_promised_loss_or_budget() -> None:
    plan = CascadePlan(stages=[["small-a", "small-b"], ["large"]]).fit(answered_table(300, seed=1))
    held, new = answered_table(300, seed=2), answered_table(600, seed=3)
    careful = guaranteed(plan, held, loss=0.05)
    lost = replay(plan.at(0), new).quality.mean() - replay(careful, new).quality.mean()
    assert lost <= 0.05 + 0.02
    thrifty = guaranteed(plan, held, budget_usd=4e-4)
    assert replay(thrifty, new).cost_usd.mean() <= 4e-4 * 1.1
    with pytest.raises(PolicyError, match="either a loss or a budget"):
        guaranteed(plan, held)
    free = replace(held, cost_usd=np.full_like(held.cost_usd, np.nan))
    with pytest.raises(PolicyError, match="a budget cannot be promised"):
        guaranteed(plan, free, budget_usd=4e-4)


def test_the_hull_keeps_what_no_mixture_beats() -> None:
    points = [Point(0, 0.5, 1.0), Point(1, 0.55, 2.0), Point(2, 0.8, 3.0), Point(3, 0.7, 4.0)]
    assert [point.step for point in hull(points)] == [0, 2]


def test_the_curve_has_a_point_for_every_price() -> None:
    plan = CascadePlan(stages=[["small-a"], ["large"]]).fit(answered_table(100, seed=1))
    points = curve(plan, answered_table(80, seed=2))
    assert len(points) == len(plan.price_)
    assert points[0].cost_usd <= points[-1].cost_usd
