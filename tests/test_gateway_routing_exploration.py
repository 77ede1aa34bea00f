"""Exploration: drawn from what is logged, by the router's uncertainty, within its budget."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fusionfactory.gateway.routing.decider import Routing
from fusionfactory.gateway.routing.exploration import Exploration
from fusionfactory.gateway.routing.pacer import Pacer
from fusionfactory.gateway.routing.shared import GatewayCount
from fusionfactory.policy import Policy
from fusionfactory.serve_settings import ExplorationSettings, RoutingSettings
from spoken_router import SpokenRouter, ask, make_fleet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fusionfactory.gateway.routing.ask import Routed

EXPECTED = {"a": (0.5, 0.001), "b": (0.6, 0.002), "c": (0.9, 0.004), "d": (0.7, 0.010)}
UTILITY = [0.5, 0.6, 0.9, 0.7]


def exploration(method: str, share: float = 0.1, usd: float | None = None) -> Exploration:
    told = ExplorationSettings(method=method, share=share)  # type: ignore[arg-type]
    return Exploration(told, Pacer(usd), seed=0)


def chances(
    explored: Exploration, utility: Sequence[float], spread: Sequence[float] | None, best: int
) -> list[float]:
    candidates = explored.candidates(utility, [0.1] * len(utility), best)
    assert candidates == list(range(len(utility)))
    return explored.probabilities(utility, spread, candidates, best)


def test_epsilon() -> None:
    assert chances(exploration("epsilon", 0.2), UTILITY, None, 2) == pytest.approx(
        [0.05, 0.05, 0.85, 0.05]
    )
    assert chances(exploration("epsilon", 0.2), UTILITY, [9.0] * 4, 2) == pytest.approx(
        [0.05, 0.05, 0.85, 0.05]
    )


def test_thompson_draws_an_arm_as_often_as_it_may_be_best() -> None:
    spread = [0.01, 0.5, 0.1, 0.3]
    found = chances(exploration("thompson", 0.04), UTILITY, spread, 2)
    rng = np.random.default_rng(1)
    drawn = rng.normal(UTILITY, spread, size=(200_000, 4)).argmax(axis=1)
    true = np.bincount(drawn, minlength=4) / 200_000
    # Of 256 draws, a share has a standard error of .03 at most.
    assert found == pytest.approx((0.01 + 0.96 * true).tolist(), abs=0.1)
    assert sum(found) == pytest.approx(1)
    assert min(found) >= 0.01


def test_thompson_without_uncertainty_is_epsilon() -> None:
    epsilon = chances(exploration("epsilon"), UTILITY, None, 2)
    assert chances(exploration("thompson"), UTILITY, None, 2) == epsilon
    assert chances(exploration("thompson"), UTILITY, [0.0] * 4, 2) == epsilon


def test_what_the_policy_rules_out_is_not_drawn() -> None:
    for method, expected in (("none", [1]), ("epsilon", [0, 1]), ("thompson", [0, 1])):
        found = exploration(method).candidates([0.2, 0.5, -math.inf], [1, 1, 1], 1)
        assert found == expected


def test_a_budget_allows_what_it_can_pay() -> None:
    explored = exploration("epsilon", usd=0.5)
    cost = [0.1, 0.2, 0.71, 0.4, math.nan]
    assert explored.candidates([0.0] * 5, cost, 1) == [0, 1, 3]
    explored.spend(0.4)
    assert explored.candidates([0.0] * 5, cost, 1) == [0, 1]
    explored.spend(-1.0)
    explored.spend(math.nan)
    assert explored.candidates([0.0] * 5, cost, 1) == [0, 1]
    assert exploration("epsilon").candidates([0.0] * 5, cost, 1) == [0, 1, 2, 3, 4]


# The pacer


def test_a_day_has_its_own_budget_and_a_worker_its_share(tmp_path: Path) -> None:
    now = [86_400 * 20_000.0]
    options: dict[str, Any] = {"workers": 4, "clock": lambda: now[0]}
    one, other = (Pacer(8.0, tmp_path / "pacer", worker=i, **options) for i in (0, 3))
    assert (one.left_usd, other.left_usd) == (2.0, 2.0)
    one.spend(1.5)
    assert (one.left_usd, other.left_usd) == (0.5, 2.0)
    one.close()
    again = Pacer(8.0, tmp_path / "pacer", worker=0, **options)
    assert again.left_usd == 0.5
    now[0] += 86_399
    assert again.left_usd == 0.5
    now[0] += 1
    assert again.left_usd == 2.0
    assert Pacer(None).left_usd == math.inf


def test_gateways_share_the_days_budget_evenly(tmp_path: Path) -> None:
    pacer, count = Pacer(8.0, tmp_path / "pacer", workers=2), GatewayCount(tmp_path)
    assert pacer.left_usd == 4.0
    count.value = 4
    pacer.spend(0.75)
    assert pacer.left_usd == 0.25
    count.value = 0
    assert pacer.left_usd == 3.25


# Together


def decisions(count: int, method: str, text: str = "x", **options: Any) -> list[Routed]:  # noqa: ANN401
    std = options.pop("std", None)
    policy = options.pop("policy", None)
    told = ExplorationSettings(method=method, **options)  # type: ignore[arg-type]
    routing = Routing(
        make_fleet(*EXPECTED), RoutingSettings(auto="performance"), exploration=told, seed=7
    )
    routing.use("v1", SpokenRouter(EXPECTED, std=std))

    async def run() -> list[Routed]:
        return [await routing.decide(ask(text, policy=policy)) for _ in range(count)]

    try:
        return asyncio.run(run())
    finally:
        routing.close()


@pytest.mark.parametrize("method", ["epsilon", "thompson"])
def test_arms_are_drawn_as_it_is_logged(method: str) -> None:
    std = {"a": 0.01, "b": 0.3, "c": 0.1, "d": 0.2}
    made = decisions(4000, method, share=0.2, std=std)
    first = made[0]
    assert all(routed.propensities == first.propensities for routed in made)
    assert sum(first.propensities.values()) == pytest.approx(1)
    drawn = Counter(routed.arms[0] for routed in made)
    statistic = sum(
        (drawn[arm] - 4000 * p) ** 2 / (4000 * p) for arm, p in first.propensities.items()
    )
    assert statistic < 16.27, "chi-squared with 3 degrees of freedom: p < .001"
    for routed in made:
        assert routed.propensity == routed.propensities[routed.arms[0]]
        assert routed.why == ("best" if routed.arms[0] == "c" else "explore")
        assert sorted(routed.arms) == sorted(EXPECTED)
        assert list(routed.arms[1:]) == [a for a in "cdba" if a != routed.arms[0]]


def test_the_uncertainty_counts_by_the_policy() -> None:
    std = dict.fromkeys(EXPECTED, 0.2)
    policies = [Policy("q", 1.0, 0.0), Policy("q and cost", 1.0, 1000.0)]
    by_quality, by_cost = (
        decisions(1, "thompson", std=std, policy=policy)[0].propensities for policy in policies
    )
    assert by_quality["c"] > 0.5
    assert by_cost["a"] > 0.9


def test_a_spent_budget_ends_exploration() -> None:
    made = decisions(3000, "epsilon", share=1.0, usd_per_day=0.05)
    extra = sum(max(EXPECTED[r.arms[0]][1] - EXPECTED["c"][1], 0.0) for r in made)
    assert 0.044 < extra <= 0.05
    assert made[0].propensities.keys() == EXPECTED.keys()
    assert made[-1].propensities.keys() == {"a", "b", "c"}, "what is cheaper costs nothing extra"
    assert sum(made[-1].propensities.values()) == pytest.approx(1)
    by_cost = Policy.parse("cost")
    last = decisions(3000, "epsilon", share=1.0, usd_per_day=0.05, policy=by_cost)[-1]
    assert (last.arms[0], last.propensities, last.why) == ("a", {"a": 1.0}, "best")


def test_without_exploration_the_best_is_certain() -> None:
    assert {(r.arms[0], r.propensity, r.why) for r in decisions(50, "none")} == {("c", 1.0, "best")}
