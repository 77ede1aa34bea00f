"""Off-policy estimates: unbiased, as narrow as they may be, and honest where nothing was tried."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from fusionfactory.errors import InputError
from fusionfactory.off_policy import (
    BanditLog,
    Estimate,
    calibrated_rewards,
    doubly_robust,
    ips,
    one_hot,
    snips,
    support,
)

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

ARMS = 4
NAN = math.nan


class World(NamedTuple):
    """A log by epsilon-greedy, every arm's reward on its queries, and two ways to choose."""

    log: BanditLog
    rewards: FloatArray
    chances: FloatArray
    incumbent: FloatArray
    candidate: FloatArray

    @property
    def gain(self) -> float:
        """Mean difference of the expected rewards on these queries."""
        return float(((self.candidate - self.incumbent) * self.chances).sum(axis=1).mean())


def world(seed: int, n: int = 600, epsilon: float = 0.3, scored: float = 1.0) -> World:
    """The candidate knows the queries' kind, the incumbent always takes the same arm."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(2, size=n)
    chances = np.array([[0.8, 0.9, 0.5, 0.3], [0.7, 0.4, 0.85, 0.3]])[kind]
    rewards = (rng.random((n, ARMS)) < chances).astype(float)
    incumbent = one_hot(np.zeros(n, dtype=int), ARMS)
    candidate = one_hot(np.where(kind, 2, 1), ARMS)
    chance = (1 - epsilon) * incumbent + epsilon / ARMS
    chosen = (rng.random(n)[:, None] > chance.cumsum(axis=1)).sum(axis=1)
    rows = np.arange(n)
    reward = np.where(rng.random(n) < scored, rewards[rows, chosen], NAN)
    log = BanditLog(ARMS, chosen, chance[rows, chosen], reward)
    return World(log, rewards, chances, incumbent, candidate)


def estimates(made: World) -> dict[str, Estimate]:
    model = calibrated_rewards(made.log, np.full((len(made.log), ARMS), 0.5))
    return {
        "ips": ips(made.log, made.candidate, made.incumbent),
        "snips": snips(made.log, made.candidate, made.incumbent),
        "dr": doubly_robust(made.log, made.candidate, model, made.incumbent),
    }


TRUE_GAIN = 0.125
"""Of the candidate: the mean of .9 - .8 and .85 - .7."""


# Right


@pytest.mark.parametrize("scored", [1.0, 0.5])
def test_the_estimates_have_no_bias(scored: float) -> None:
    found = [estimates(world(seed, scored=scored)) for seed in range(150)]
    for method in ("ips", "snips", "dr"):
        values = np.array([one[method].value for one in found])
        error = values.std() / math.sqrt(len(values))
        assert values.mean() == pytest.approx(TRUE_GAIN, abs=3.5 * error), method


@pytest.mark.parametrize(
    ("n", "epsilon", "scored"), [(600, 0.3, 1.0), (300, 0.1, 1.0), (1000, 0.2, 0.3)]
)
def test_at_least_93_percent_of_the_intervals_hold_the_truth(
    n: int, epsilon: float, scored: float
) -> None:
    """Also where the candidate was tried on less than ten rows."""
    covered = dict.fromkeys(("ips", "snips", "dr"), 0)
    for seed in range(500):
        for method, one in estimates(world(seed, n, epsilon, scored)).items():
            covered[method] += one.low <= TRUE_GAIN <= one.high
    assert min(covered.values()) >= 465, covered


def test_the_gain_over_oneself_is_nothing_for_sure() -> None:
    made = world(1)
    for one in (
        ips(made.log, made.candidate, made.candidate),
        snips(made.log, made.candidate, made.candidate),
        doubly_robust(made.log, made.candidate, made.chances, made.candidate),
    ):
        assert (one.value, one.low, one.high) == (0.0, 0.0, 0.0)


def test_a_target_of_its_own_propensities_is_weighed_by_them() -> None:
    made = world(2, n=4000)
    mixed = 0.5 * made.candidate + 0.5 * made.incumbent
    whole = ips(made.log, made.candidate, made.incumbent)
    half = ips(made.log, mixed, made.incumbent)
    assert half.value == pytest.approx(whole.value / 2)


def test_snips_is_indifferent_to_a_constant_and_ips_is_not() -> None:
    made = world(3)
    raised = BanditLog(ARMS, made.log.chosen, made.log.propensity, made.log.reward + 5.0)
    for method, moved in ((snips, False), (ips, True)):
        difference = (
            method(raised, made.candidate, made.incumbent).value
            - method(made.log, made.candidate, made.incumbent).value
        )
        assert (abs(difference) > 1e-9) == moved


def test_a_good_reward_model_narrows_the_interval_and_a_bad_one_costs_no_truth() -> None:
    made = world(4, n=3000)
    widths = {}
    for name, model in (("good", made.chances), ("bad", 1 - made.chances)):
        found = doubly_robust(made.log, made.candidate, model, made.incumbent)
        assert found.low <= made.gain <= found.high, name
        widths[name] = found.high - found.low
    wide = ips(made.log, made.candidate, made.incumbent)
    assert widths["good"] < 0.8 * (wide.high - wide.low)
    assert widths["good"] < 0.8 * widths["bad"]


# Scored or not


def test_arms_that_are_scored_less_often_count_as_much() -> None:
    """Half of one arm's rewards are lost, which says nothing about how good it is."""
    values = []
    for seed in range(60):
        made = world(seed)
        lost = (made.log.chosen == 1) & (np.random.default_rng(seed + 9000).random(600) < 0.5)
        log = BanditLog(
            ARMS, made.log.chosen, made.log.propensity, np.where(lost, NAN, made.log.reward)
        )
        values.append(ips(log, made.candidate, made.incumbent).value)
    assert np.mean(values) == pytest.approx(TRUE_GAIN, abs=0.03)


def test_known_probabilities_of_scoring_are_used() -> None:
    """Kind 1 is scored once in five: without the probabilities kind 0 would count for more."""
    values = []
    for seed in range(60):
        made = world(seed, n=1500)
        kind = made.candidate[:, 2] == 1
        odds = np.where(kind, 0.2, 1.0)
        known = np.random.default_rng(seed + 9000).random(1500) < odds
        reward = np.where(known, made.log.reward, NAN)
        log = BanditLog(ARMS, made.log.chosen, made.log.propensity, reward, scored=odds)
        values.append(snips(log, one_hot(np.full(1500, 0), ARMS)).value)
    assert np.mean(values) == pytest.approx(0.75, abs=0.01)


def test_scoring_by_arm_is_noticed() -> None:
    made = world(5, n=2000)
    lost = (made.log.chosen == 0) & (np.random.default_rng(0).random(2000) < 0.3)
    log = BanditLog(
        ARMS, made.log.chosen, made.log.propensity, np.where(lost, NAN, made.log.reward)
    )
    assert any("scored more often" in text for text in support(log, made.candidate).warnings())
    fair = support(world(5, n=2000, scored=0.7).log, made.candidate)
    assert not any("scored more often" in text for text in fair.warnings())


# Support


def test_a_log_that_tried_everything_draws_no_warning() -> None:
    made = world(6, n=2000)
    found = support(made.log, made.candidate, made.incumbent)
    assert found.warnings() == ()
    assert found.weight_low < 1 < found.weight_high
    assert found.tried == (made.candidate[np.arange(2000), made.log.chosen] > 0).sum()
    assert found.effective == pytest.approx(found.tried)


def test_an_arm_that_was_never_tried_is_named() -> None:
    made = world(7, n=2000)
    kept = made.log.chosen != 2
    log = BanditLog(ARMS, made.log.chosen[kept], made.log.propensity[kept], made.log.reward[kept])
    found = support(log, made.candidate[kept])
    assert found.absent == (2,)
    assert found.absent_share == pytest.approx(made.candidate[kept, 2].mean())
    text = " ".join(found.warnings())
    assert "arms that the log never tried" in text
    assert "should average 1" in text


def test_without_exploration_nothing_is_known_and_nothing_is_claimed() -> None:
    made = world(8, epsilon=0.0)
    for one in (
        ips(made.log, made.candidate, made.incumbent),
        doubly_robust(made.log, made.candidate, made.chances, made.incumbent),
    ):
        assert (one.low, one.high) == (-math.inf, math.inf)
    assert any("effective trials" in text for text in
               support(made.log, made.candidate, made.incumbent).warnings())  # fmt: skip


def test_equal_rewards_of_few_trials_are_no_certainty() -> None:
    chosen = np.r_[np.zeros(96, dtype=int), np.ones(4, dtype=int)]
    propensity = np.where(chosen == 0, 0.95, 0.05)
    log = BanditLog(2, chosen, propensity, np.r_[np.ones(48), np.zeros(48), np.ones(4)])
    found = snips(log, one_hot(np.ones(100, dtype=int), 2))
    assert found.value == 1.0
    assert found.low < 0.7


def test_copies_of_a_query_are_one_observation() -> None:
    made = world(9, n=400)
    log = made.log
    rows = np.repeat(np.arange(400), 4)
    copied = BanditLog(ARMS, log.chosen[rows], log.propensity[rows], log.reward[rows], groups=rows)
    single = ips(log, made.candidate, made.incumbent)
    fourfold = ips(copied, made.candidate[rows], made.incumbent[rows])
    assert fourfold.value == pytest.approx(single.value)
    assert fourfold.std_error == pytest.approx(single.std_error, rel=0.02)


# The reward model


def test_calibration_takes_back_what_was_promised_too_much() -> None:
    made = world(10, n=3000)
    boastful = 0.5 + 2 * (made.chances - 0.5)
    fitted = calibrated_rewards(made.log, boastful)
    assert np.abs(fitted - made.chances).mean() < 0.5 * np.abs(boastful - made.chances).mean()


def test_calibration_never_looks_at_the_row_itself() -> None:
    made = world(11, n=200)
    predictions = np.random.default_rng(0).random((200, ARMS))
    changed = made.log.reward.copy()
    changed[17] = 1 - changed[17]
    log = BanditLog(ARMS, made.log.chosen, made.log.propensity, changed)
    before, after = (calibrated_rewards(one, predictions) for one in (made.log, log))
    np.testing.assert_array_equal(before[17], after[17])
    assert np.abs(before - after).max() > 0


# Faults


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"propensity": np.array([0.5, 0.0])}, r"propensity.*0\.0 is no probability"),
        ({"propensity": np.array([0.5, 1.5])}, r"propensity.*1\.5 is no probability"),
        ({"propensity": np.array([0.5, NAN])}, "propensity.*nan is no probability"),
        ({"propensity": np.array([0.5])}, r"propensity.*shape \(1,\), expected \(2,\)"),
        ({"scored": np.array([0.5, 0.0])}, "scored.*is no probability"),
        ({"chosen": np.array([0, 2])}, "chosen.*2 is no column: there are 2 arms"),
        ({"reward": np.array([NAN, NAN])}, "none of 2 rewards is known"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, FloatArray], message: str) -> None:
    good = {
        "chosen": np.array([0, 1]), "propensity": np.array([0.5, 0.5]),
        "reward": np.array([1.0, 0.0]),
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        BanditLog(2, **(good | change))
