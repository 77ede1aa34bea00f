"""Utilities and choices in plain numbers are those of the library, to the last digit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfactory.errors import PolicyError
from fusionfactory.gateway.routing.estimation import Question
from fusionfactory.gateway.routing.served import Served
from fusionfactory.gateway.routing.trade import Row, Trade, best
from fusionfactory.policy import Policy, choose
from fusionfactory.routers import make_router
from fusionfactory.testing import make_table
from fusionfactory.types import Estimates, FloatArray
from spoken_router import SpokenRouter

POLICIES = [
    Policy("auto:0.3", 0.7, 0.3, normalised=True),
    Policy("auto:1", 0.0, 1.0, normalised=True),
    *map(Policy.parse, (
        "performance", "balance", "cost", "judge", "price:0.001", "price:5", "balance,max:0.004",
        "performance,max:0.01", "price:0.01,max:0.00001",
    )),
]  # fmt: skip

# Few different numbers, so that ties are common.
_QUALITY = st.one_of(st.sampled_from([0.0, 0.5, 0.5 + 1e-13, 1.0]), st.floats(-1, 2))
_COST = st.one_of(st.sampled_from([0.0, 0.004, 0.01, math.nan]), st.floats(0, 0.1))
_ARMS = st.lists(st.tuples(_QUALITY, _COST), min_size=1, max_size=6)


@given(cells=_ARMS, odds=st.floats(0, 1), policy=st.sampled_from(POLICIES), data=st.data())
@settings(max_examples=200, deadline=None)
def test_one_row(
    cells: list[tuple[float, float]], odds: float, policy: Policy, data: st.DataObject
) -> None:
    arms = tuple(f"arm {i}" for i in range(len(cells)))
    places = range(len(cells))
    some = sorted(data.draw(st.sets(st.sampled_from(places), min_size=1)))
    normaliser = SpokenRouter({"a": (0.5, 0.1)}).normaliser_
    weights = np.array([[odds, 1 - odds]])
    estimates = Estimates(
        arms, np.array([[q for q, _ in cells]]), np.array([[c for _, c in cells]]), None, weights
    ).select([arms[i] for i in some])
    gain, loss = (float(slope[0]) for slope in normaliser.slopes(weights, 1))
    row = Row([q for q, _ in cells], [c for _, c in cells], gain, loss)
    weighs_cost = policy.beta > 0 or policy.max_cost_usd is not None
    if weighs_cost and np.isnan(estimates.cost_usd).all():
        for ask in (
            lambda: policy.utility(estimates, normaliser),
            lambda: Trade(policy).utilities(row, some),
        ):
            with pytest.raises(PolicyError, match=f"'{policy.name}' weighs cost, but no arm's"):
                ask()
        return
    expected = policy.utility(estimates, normaliser)
    found = Trade(policy).utilities(row, some)
    assert found == expected[0].tolist()
    place = best(found, [row.cost_usd[i] for i in some])
    assert place == int(choose(expected, estimates.cost_usd, estimates.arms)[0])


@pytest.mark.parametrize("spec", ["stack", "ridge", "knn", "task", "best_single", "cheapest"])
def test_real_routers_choose_what_they_choose(spec: str) -> None:
    table = make_table(150, 4)
    router = make_router(spec).fit(table)
    served = Served("v1", router, table.arm_names)
    estimates = router.estimate(table.texts)
    for policy in (*POLICIES, Policy.budget(0.02), Policy.budget(0.03).with_ceiling(0.00005)):
        expected = [estimates.arms[i] for i in router.choose(estimates, policy).tolist()]
        assert _chosen(served, table.texts, policy) == expected, policy
    served.close()


def _chosen(served: Served, texts: list[str], policy: Policy) -> list[str]:
    """The choices on the library's own estimates of a whole batch."""
    found = []
    for row in served.estimation.rows(texts):
        utility = served.trade(policy).utilities(row, served.every)
        found.append(served.names[served.best(row, policy, utility, served.every)])
    return found


def test_a_paper_router_chooses_what_it_chooses() -> None:
    table = make_table(100, 3)
    policy = Policy.parse("balance")
    router = make_router("svm-paper").fit(table, policy)
    served = Served("v1", router, table.arm_names)
    estimates = router.estimate(table.texts)
    expected = [estimates.arms[i] for i in router.choose(estimates, policy).tolist()]
    assert _chosen(served, table.texts, policy) == expected
    with pytest.raises(PolicyError, match="cannot decide by 'cost'"):
        served.trade(Policy.parse("cost"))


def test_equal_rewards_go_to_the_first_arm_as_the_paper_has_it() -> None:
    router = SpokenRouter({"z": (0.5, 0.2), "b": (0.5, 0.1)}, reward_of="balance")
    policy = Policy.parse("balance")
    assert router.choose(router.estimate(["x"]), policy).tolist() == [0]
    assert _chosen(Served("v1", router, ["b", "z"]), ["x"], policy) == ["z"]


def test_arms_in_any_order_have_their_own_numbers() -> None:
    expected = {"zeta": (0.1, 0.4), "alpha": (0.2, 0.3), "mid": (0.3, 0.2), "absent": (0.4, 0.1)}
    served = Served("v1", SpokenRouter(expected), ["mid", "zeta", "alpha", "stranger"])
    assert served.names == ("alpha", "mid", "zeta")
    (row,) = served.estimation.rows(["hello"])
    assert row.quality == [0.2, 0.3, 0.1]
    assert row.cost_usd == [0.3, 0.2, 0.4]
    assert row.told == {name: expected[name] for name in served.names}


def test_estimates_in_single_precision() -> None:
    class Single(SpokenRouter):
        def estimate(self, queries: object) -> Estimates:
            told = super().estimate(queries)  # type: ignore[arg-type]
            cells: list[FloatArray] = [told.quality, told.cost_usd]
            quality, cost = (part.astype(np.float32) for part in cells)
            return Estimates(told.arms, quality, cost, None, told.task_weights)

    router = Single({"a": (0.7, 0.0031), "b": (0.71, 0.0033), "c": (0.3, 0.0001)})
    served = Served("v1", router, ["a", "b", "c"])
    estimates = router.estimate(["x"])
    for policy in POLICIES:
        (row,) = served.estimation.rows(["x"])
        expected = policy.utility(estimates, router.normaliser_)[0].tolist()
        assert served.trade(policy).utilities(row, served.every) == expected


def test_texts_are_told_apart() -> None:
    assert Question.of("a") == Question.of("a")
    texts = ("", " ", "a", "b", "\ud800", "漢", "x" * 30_000, "x" * 30_001)
    assert len({Question.of(text).key for text in texts}) == len(texts) - 1, "both ends are alike"
    assert Question.of(" a\n").text == " a\n"
