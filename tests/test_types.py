"""The nouns: names of arms, ranges of scores, failed calls, shapes of estimates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusionfactory.errors import InputError
from fusionfactory.types import Arm, Estimates, Outcome, Score

# Arms


@pytest.mark.parametrize(
    ("text", "model", "strategy", "name"),
    [
        ("m", "m", "direct", "m"),
        ("m|think", "m", "think", "m|think"),
        ("m|thought:3", "m", "thought:3", "m|thought:3"),
        ("m|direct", "m", "direct", "m"),
        ("org/model-7b", "org/model-7b", "direct", "org/model-7b"),
    ],
)
def test_an_arm_is_a_model_and_a_strategy(text: str, model: str, strategy: str, name: str) -> None:
    arm = Arm.parse(text)
    assert (arm.model, arm.strategy, arm.name) == (model, strategy, name)
    assert Arm.parse(arm.name) == arm


@pytest.mark.parametrize("text", ["", "|think"])
def test_an_arm_needs_a_model(text: str) -> None:
    with pytest.raises(InputError, match="'' is no model name: it must be non-empty"):
        Arm.parse(text)


def test_an_empty_strategy_is_no_strategy() -> None:
    with pytest.raises(InputError, match=r"'m\|' is no arm: expected `model` or `model\|strategy`"):
        Arm.parse("m|")


def test_a_model_name_holds_no_bar() -> None:
    with pytest.raises(InputError, match=r"'a\|b' is no model name"):
        Arm("a|b")


def test_prices_and_description_do_not_make_another_arm() -> None:
    priced = Arm.parse("m|think", input_price=1.0, output_price=2.0, description="big")
    assert priced == Arm("m", "think")
    assert (priced.input_price, priced.output_price, priced.description) == (1.0, 2.0, "big")


# Scores and outcomes


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_scores_lie_in_the_unit_interval(value: float) -> None:
    assert Score("performance", value).value == value


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_other_scores_are_refused_with_their_value(value: float) -> None:
    with pytest.raises(InputError, match=rf"field 'llm_judge': {value} is no score.*\[0, 1\]"):
        Score("llm_judge", value)


def test_a_failed_call_has_no_scores() -> None:
    with pytest.raises(InputError, match="a failed call has no scores"):
        Outcome("q", "m", error="timeout", scores=(Score("performance", 0.0),))


def test_a_failed_call_is_an_outcome_of_unknown_cost() -> None:
    failed = Outcome("q", "m", error="timeout")
    assert failed.scores == ()
    assert failed.cost_usd is None


# Estimates


def test_estimates_check_their_shapes() -> None:
    good = np.zeros((2, 3))
    with pytest.raises(InputError, match=r"field 'quality': has shape \(2, 2\), expected \(2, 3\)"):
        Estimates(("a", "b", "c"), np.zeros((2, 2)), good)
    with pytest.raises(InputError, match=r"field 'cost_usd': has shape \(3, 3\)"):
        Estimates(("a", "b", "c"), good, np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"field 'quality_std': has shape \(2,\)"):
        Estimates(("a", "b", "c"), good, good, np.zeros(2))


def test_selecting_arms_reorders_every_column() -> None:
    quality = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    weights = np.array([[1.0], [1.0]])
    picked = Estimates(("a", "b", "c"), quality, quality * 10, quality * 100, weights).select(
        ["c", "a"]
    )
    assert picked.arms == ("c", "a")
    assert len(picked) == 2
    np.testing.assert_allclose(picked.quality, [[0.3, 0.1], [0.6, 0.4]])
    np.testing.assert_allclose(picked.cost_usd, [[3, 1], [6, 4]])
    assert picked.quality_std is not None
    np.testing.assert_allclose(picked.quality_std, [[30, 10], [60, 40]])
    assert picked.task_weights is weights


def test_estimates_without_uncertainty_stay_without() -> None:
    assert Estimates(("a",), np.ones((1, 1)), np.ones((1, 1))).select(["a"]).quality_std is None
