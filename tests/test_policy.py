"""Trade-offs: the paper's scenarios, a price of quality, budgets, ceilings, ties, wording."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import PolicyError
from fusionfactory.policy import SCENARIOS, Normaliser, Policy, choose
from fusionfactory.routers.frontier import Frontier, sweep, trade_offs
from fusionfactory.table import QUERY_COLUMNS, OutcomeTable
from fusionfactory.types import Arm, Estimates, FloatArray

NAN = math.nan
WEIGHTS = {
    "performance": (1.0, 0.0),
    "balance": (0.5, 0.5),
    "cost": (0.2, 0.8),
    "judge": (1.0, 0.0),
}


def table_of(quality: FloatArray, cost_usd: FloatArray, tasks: list[str]) -> OutcomeTable:
    """A table of these cells."""
    n, m = quality.shape
    blank = np.full((n, m), NAN)
    columns = {name: pl.Series(name, [None] * n, dtype=pl.String) for name in QUERY_COLUMNS}
    columns |= {
        "query_id": pl.Series("query_id", [f"q{i}" for i in range(n)]),
        "query": pl.Series("query", [f"text {i}" for i in range(n)]),
        "task": pl.Series("task", tasks),
    }
    arms = tuple(Arm(f"m{j}") for j in range(m))
    return OutcomeTable(pl.DataFrame(columns), arms, quality, blank, cost_usd, blank, blank, blank)


TRAIN = table_of(
    # Task a: quality from .2 to 1 (span .8), cost from 1 to 5 (span 4).
    # Task b: quality from 0 to .5 (span .5), cost from 10 to 30 (span 20).
    np.array([[0.2, 1.0], [0.6, NAN], [0.0, 0.5]]),
    np.array([[1.0, 5.0], [2.0, NAN], [10.0, 30.0]]),
    ["a", "a", "b"],
)


# The paper's scenarios


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_have_the_papers_weights(name: str) -> None:
    policy = Policy.parse(name)
    assert (policy.alpha, policy.beta) == WEIGHTS[name]
    assert policy.normalised
    assert policy.judge == (name == "judge")
    assert policy.name == name


def test_ranges_are_the_training_cells_min_and_max_per_task() -> None:
    normaliser = Normaliser().fit(TRAIN)
    assert normaliser.tasks_ == ("a", "b")
    np.testing.assert_allclose(normaliser.ranges_, [[0.2, 1, 1, 5], [0, 0.5, 10, 30]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # (.6 - .2) / .8 = .5 and (2 - 1) / 4 = .25; (.4 - 0) / .5 = .8 and (20 - 10) / 20 = .5
        ("performance", [0.5, 0.8]),
        ("balance", [0.5 * 0.5 - 0.5 * 0.25, 0.5 * 0.8 - 0.5 * 0.5]),
        ("cost", [0.2 * 0.5 - 0.8 * 0.25, 0.2 * 0.8 - 0.8 * 0.5]),
        ("judge", [0.5, 0.8]),
    ],
)
def test_reward_is_alpha_quality_minus_beta_cost_normalised(
    name: str, expected: list[float]
) -> None:
    reward = Normaliser().fit(TRAIN).reward(
        np.array([0.6, 0.4]), np.array([2.0, 20.0]), np.array(["a", "b"]), SCENARIOS[name]
    )  # fmt: skip
    np.testing.assert_allclose(reward, expected)


def test_ranges_stay_those_of_train_on_other_outcomes() -> None:
    reward = Normaliser().fit(TRAIN).reward(
        np.array([[1.8, -0.6]]), np.array([[9.0, 1.0]]), np.array(["a"]), SCENARIOS["balance"]
    )  # fmt: skip
    # Twice the spans: .5 * 2 - .5 * 2; one span below: .5 * -1 - .5 * 0.
    np.testing.assert_allclose(reward, np.array([[0.0, -0.5]]))


def test_an_unknown_task_weighs_the_others_equally() -> None:
    normaliser = Normaliser().fit(TRAIN)
    np.testing.assert_allclose(normaliser.one_hot(["b", "new"]), [[0.0, 1.0], [0.5, 0.5]])
    quality_slope, cost_slope = normaliser.slopes(normaliser.one_hot(["new"]), 1)
    np.testing.assert_allclose(quality_slope, [(1 / 0.8 + 1 / 0.5) / 2])
    np.testing.assert_allclose(cost_slope, [(1 / 4 + 1 / 20) / 2])


def test_a_constant_column_is_worth_nothing() -> None:
    flat = table_of(np.full((2, 2), 0.7), np.array([[1.0, 3.0]] * 2), ["a", "a"])
    normaliser = Normaliser().fit(flat)
    reward = normaliser.reward(flat.quality, flat.cost_usd, flat.tasks, SCENARIOS["balance"])
    np.testing.assert_allclose(reward, [[0.0, -0.5]] * 2)


def test_an_unknown_cost_makes_the_reward_unknown_where_cost_counts() -> None:
    normaliser = Normaliser().fit(TRAIN)
    cells = (TRAIN.quality, TRAIN.cost_usd, TRAIN.tasks)
    assert np.isnan(normaliser.reward(*cells, SCENARIOS["balance"])[1, 1])
    priced = normaliser.reward(np.ones(1), np.array([NAN]), TRAIN.tasks[:1], SCENARIOS["balance"])
    assert np.isnan(priced).all()
    free = normaliser.reward(np.ones(1), np.array([NAN]), TRAIN.tasks[:1], SCENARIOS["performance"])
    np.testing.assert_allclose(free, [1.0])


@pytest.mark.parametrize("name", SCENARIOS)
def test_utility_ranks_as_the_reward_does(name: str) -> None:
    normaliser = Normaliser().fit(TRAIN)
    rng = np.random.default_rng(0)
    quality, cost = rng.random((6, 3)), 30 * rng.random((6, 3))
    tasks = np.array(["a", "b"] * 3)
    seen = Estimates(("x", "y", "z"), quality, cost, task_weights=normaliser.one_hot(tasks))
    utility = SCENARIOS[name].utility(seen, normaliser)
    reward = normaliser.reward(quality, cost, tasks, SCENARIOS[name])
    np.testing.assert_allclose(utility - utility[:, :1], reward - reward[:, :1], atol=1e-12)


# Price, budget, ceiling


def _choice(policy: Policy, quality: list[float], cost: list[float]) -> str:
    names = ("x", "y", "z")[: len(quality)]
    seen = Estimates(names, np.array([quality]), np.array([cost]))
    return names[int(choose(policy.utility(seen, Normaliser()), seen.cost_usd, names)[0])]


def test_a_price_per_point_buys_points_that_cost_less() -> None:
    # Five points for .004 USD: .0008 USD a point.
    quality, cost = [0.60, 0.65], [0.001, 0.005]
    assert _choice(Policy.price(0.00079), quality, cost) == "x"
    assert _choice(Policy.price(0.00081), quality, cost) == "y"


def test_a_price_is_the_usd_of_one_point() -> None:
    policy = Policy.parse("price:0.002")
    assert policy.alpha == pytest.approx(0.2)
    assert (policy.beta, policy.name, policy.normalised) == (1.0, "price:0.002", False)


def test_a_budget_stands_in_usd_per_thousand_queries() -> None:
    policy = Policy.parse("budget:1.5")
    assert policy.budget_usd == pytest.approx(0.0015)
    assert policy.name == "budget:1.5"


def test_a_budget_becomes_the_price_that_just_meets_it() -> None:
    # Two queries alike: x costs 1, y 3. Spend is 1, or 3 once quality is worth enough.
    seen = Estimates(("x", "y"), np.array([[0.5, 0.9]] * 2), np.array([[1.0, 3.0]] * 2))
    frontier = Frontier().fit(seen)
    for usd, arm in ((2.9, 0), (3.0, 1)):
        policy = frontier.within(replace(Policy.budget(1.0), budget_usd=usd))
        utility = policy.utility(seen, Normaliser())
        assert choose(utility, seen.cost_usd, seen.arms).tolist() == [arm, arm]
    with pytest.raises(PolicyError, match=r"the cheapest choice costs 1000 USD per 1,000 queries"):
        frontier.within(replace(Policy.budget(1.0), budget_usd=0.99))


def test_no_budget_is_met_by_an_arm_of_unknown_cost() -> None:
    seen = Estimates(("x", "y"), np.array([[0.5, 0.9]]), np.array([[1.0, NAN]]))
    frontier = Frontier().fit(seen)
    policy = frontier.within(replace(Policy.budget(1.0), budget_usd=100.0))
    assert choose(policy.utility(seen, Normaliser()), seen.cost_usd, seen.arms).tolist() == [0]
    with pytest.raises(PolicyError, match="the cheapest choice costs 1000 USD"):
        frontier.within(replace(Policy.budget(1.0), budget_usd=0.5))


def test_a_budget_needs_costs() -> None:
    unknown = Estimates(("x",), np.ones((1, 1)), np.full((1, 1), NAN))
    with pytest.raises(PolicyError, match="sets a budget, but no arm's cost is known"):
        Frontier().fit(unknown).within(Policy.budget(1.0))


def test_a_ceiling_hides_dear_arms() -> None:
    policy = Policy.parse("performance,max:0.01")
    assert policy == SCENARIOS["performance"].with_ceiling(0.01)
    raw = replace(policy, normalised=False)
    assert _choice(raw, [0.5, 0.6, 0.9], [0.001, 0.01, 0.02]) == "y"


def test_over_the_ceiling_everywhere_the_cheapest_answers() -> None:
    raw = replace(Policy.parse("performance,max:0.0001"), normalised=False)
    assert _choice(raw, [0.5, 0.6, 0.9], [0.003, 0.002, 0.02]) == "y"


def test_an_unknown_cost_is_over_any_ceiling() -> None:
    raw = replace(Policy.parse("performance,max:5"), normalised=False)
    assert _choice(raw, [0.9, 0.5], [NAN, 1.0]) == "y"
    assert _choice(raw, [0.9, 0.5], [NAN, 9.0]) == "y"


# Unknown costs


def test_arms_of_unknown_cost_are_chosen_only_where_cost_does_not_count() -> None:
    assert _choice(Policy("q"), [0.9, 0.5], [NAN, 1.0]) == "x"
    assert _choice(Policy.price(1000.0), [0.9, 0.5], [NAN, 1.0]) == "y"


def test_cost_cannot_count_where_none_is_known() -> None:
    with pytest.raises(PolicyError, match="'price:1' weighs cost, but no arm's cost is known"):
        _choice(Policy.price(1.0), [0.9, 0.5], [NAN, NAN])


def test_a_sweep_goes_from_the_cheapest_to_the_best() -> None:
    cost = np.array([[1.0, 2.0, NAN]])
    worth = trade_offs(cost)
    assert worth[0] == 0
    assert np.isinf(worth[-1])
    assert (np.diff(worth) > 0).all()
    picks = sweep(Estimates(("x", "y", "z"), np.array([[0.1, 0.5, 0.9]]), cost), worth)[:, 0]
    assert picks[0] == 0
    assert picks[-2:].tolist() == [1, 2]


# Ties


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_ties_go_to_the_cheaper_arm_then_to_the_name(order: list[int]) -> None:
    names = np.array(["b", "c", "a"])
    cost = np.array([[2.0, 1.0, 2.0], [1.0, 1.0, 1.0], [NAN, 3.0, NAN], [NAN, NAN, NAN]])
    utility = np.array([[0.7] * 3] * 4)
    utility[2, 1] = 0.1
    chosen = choose(utility[:, order], cost[:, order], names[order].tolist())
    assert names[order][chosen].tolist() == ["c", "a", "a", "a"]


def test_a_known_cost_beats_an_unknown_one() -> None:
    assert choose(np.ones((1, 2)), np.array([[NAN, 1e9]]), ("a", "b")).tolist() == [1]


def test_rounding_makes_no_difference_between_equals() -> None:
    utility = np.array([[0.1 + 0.2, 0.3]])
    assert choose(utility, np.array([[2.0, 1.0]]), ("a", "b")).tolist() == [1]
    utility[0, 0] += 1e-9
    assert choose(utility, np.array([[2.0, 1.0]]), ("a", "b")).tolist() == [0]


# Wording


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cheap", "unknown policy 'cheap'; expected performance, balance, cost, judge, price:"),
        ("", "unknown policy ''"),
        ("price:", "'' in policy 'price:' is no number"),
        ("price:much", "'much' in policy 'price:much' is no number"),
        ("price:0", "field 'price': must be a positive number, got 0.0"),
        ("price:nan", "field 'price': must be a positive number, got nan"),
        ("budget:-1", "field 'budget': must be a positive number, got -1.0"),
        ("budget:inf", "field 'budget': must be a positive number, got inf"),
        ("balance,min:3", "'min:3' in 'balance,min:3' is no ceiling: expected max:USD_PER_QUERY"),
        ("balance,max:x", "'x' in policy 'balance,max:x' is no number"),
        ("balance,max:0", "field 'max': must be a positive number, got 0.0"),
    ],
)
def test_bad_wording_is_explained(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Policy.parse(text)


@pytest.mark.parametrize(
    "text", [*SCENARIOS, "price:0.002", "budget:1.5", "cost,max:0.01", "price:1e-06,max:0.5"]
)
def test_a_name_reads_back_as_its_policy(text: str) -> None:
    policy = Policy.parse(text)
    assert policy.name == text
    assert Policy.parse(policy.name) == policy
