"""The vote: decided early, with the result of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from answered_table import answered_table
from fusionfactory.errors import ConfigError, TableError
from fusionfactory.plans import load_plan, make_plan, replay, save_plan
from fusionfactory.plans.ballots import Ballots
from fusionfactory.plans.calibration import expected_calibration_error
from fusionfactory.plans.state import Said
from fusionfactory.plans.vote import VotePlan

VOTERS = ("small-a", "small-b", "small-c", "small-d", "large")


def test_a_vote_cut_short_says_what_the_whole_vote_says() -> None:
    test = answered_table(300, seed=4)
    plan = VotePlan(voters=VOTERS).fit(answered_table(300, seed=3))
    done = replay(plan, test)
    assert not done.called.all()
    asked = plan.begin(test.texts)
    own = test.select_arms([arm.name for arm in plan.arms_])
    assert own.responses is not None
    groups = np.array([[int(text[-1]) for text in row] for row in own.responses])
    said = Said(groups, np.ones(groups.shape), np.zeros(groups.shape))
    whole = asked.told(np.ones(groups.shape, bool), said)
    advice = plan.advise(whole)
    assert not advice.call.any()
    rows = np.arange(len(test))
    assert np.array_equal(groups[rows, advice.answer], groups[rows, done.answered])


def test_it_chooses_voters_that_beat_the_best_arm() -> None:
    train, test = answered_table(400, seed=5), answered_table(400, seed=6)
    plan = make_plan("vote").fit(train)
    done = replay(plan, test)
    assert done.quality.mean() >= test.quality[:, test.best_single()].mean() - 0.01
    assert abs(done.confidence.mean() - done.quality.mean()) < 0.06


def test_saved_and_loaded_it_does_the_same(tmp_path: object) -> None:
    train, test = answered_table(100, seed=7), answered_table(50, seed=8)
    plan = VotePlan(voters=VOTERS[:3]).fit(train)
    save_plan(plan, f"{tmp_path}/vote")
    again = load_plan(f"{tmp_path}/vote")
    assert np.array_equal(replay(plan, test).answered, replay(again, test).answered)
    assert [arm.name for arm in again.arms_] == list(VOTERS[:3])


def test_settings_that_name_no_voters_are_refused() -> None:
    train = answered_table(60)
    with pytest.raises(TableError, match="unknown arm 'nobody'"):
        VotePlan(voters=["nobody"]).fit(train)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        VotePlan(most=0).fit(train)


def test_ballots_count_who_said_what() -> None:
    groups = np.array([[0, 1, 0], [-1, -1, 2], [0, 0, 0]])
    asked = np.array([[True, True, True], [True, True, False], [False, True, True]])
    ballots = Ballots.of(groups, asked)
    assert ballots.query.tolist() == [0, 0, 2]
    assert ballots.votes.astype(int).tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 1]]
    leaders = ballots.leaders(np.array([0.2, 0.7, 0.4]))
    assert leaders.ballot.tolist() == [1, -1, 2]
    assert leaders.first.tolist() == [0.7, 0.0, 0.4]
    assert leaders.second.tolist() == [0.2, 0.0, 0.0]


def test_its_confidence_tells_right_answers_from_wrong_ones() -> None:
    train, test = answered_table(600, seed=9), answered_table(600, seed=10)
    done = replay(VotePlan(voters=VOTERS).fit(train), test)
    assert expected_calibration_error(done.confidence, done.quality) < 0.06
    brier = float(((done.confidence - done.quality) ** 2).mean())
    guess = float(((done.quality.mean() - done.quality) ** 2).mean())
    assert brier < 0.9 * guess


def test_equal_arms_vote_together_though_no_second_one_alone_would_help() -> None:
    table = answered_table(400, seed=8).select_arms(["small-a", "small-b", "small-c", "small-d"])
    train, test = table.rows(np.arange(250)), table.rows(np.arange(250, 400))
    plan = VotePlan().fit(train)
    assert len(plan.arms_) >= 3
    done = replay(plan, test)
    assert done.quality.mean() > test.quality[:, train.best_single()].mean()
