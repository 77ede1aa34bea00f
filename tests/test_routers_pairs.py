"""Pairwise ranking: who is better on what, and whose comparison matters at some price."""

from __future__ import annotations

import numpy as np

from fusionfactory.routers import make_router
from fusionfactory.routers.frontier import shortfall
from fusionfactory.routers.pairs import PairRanking
from fusionfactory.testing import check_router, make_table


def test_contract() -> None:
    check_router(lambda: make_router("pairs"))


def test_scores_are_log_odds_of_being_better() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 1))
    truth = np.hstack([x, -x, np.zeros_like(x)])
    quality = rng.gumbel(size=truth.shape) + truth
    quality = (quality == quality.max(axis=1, keepdims=True)).astype(float)
    found = PairRanking(penalty=1e-6).fit(x, quality, np.ones(3)).predict(np.array([[1.0], [-1.0]]))
    np.testing.assert_allclose(found[0], [1, -1, 0], atol=0.15)
    np.testing.assert_allclose(found[1], [-1, 1, 0], atol=0.15)


def test_ties_and_missing_cells_teach_nothing() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2))
    quality = (rng.random((100, 3)) < 0.5).astype(float)
    silent = np.tile([1.0, 1.0, np.nan], (50, 1))
    weights = np.ones(3)
    plain = PairRanking().fit(x, quality, weights)
    more = PairRanking()
    more.fit(
        np.vstack([x, np.tile(x.mean(axis=0), (50, 1))]), np.vstack([quality, silent]), weights
    )
    chosen = [model.predict(x).argmax(axis=1) for model in (plain, more)]
    assert (chosen[0] == chosen[1]).mean() > 0.95


def test_learns_which_arm_is_good_at_what() -> None:
    train, test = make_table(400), make_table(200, seed=5)
    train.quality[::5, 1] = np.nan
    chosen = make_router("pairs").fit(train).estimate(test.texts).quality.argmax(axis=1)
    quality = test.quality[np.arange(len(test)), chosen].mean()
    assert quality > test.quality.mean(axis=0).max() + 0.1


def test_differences_are_those_of_quality() -> None:
    test = make_table(300, seed=5)
    found = make_router("pairs").fit(make_table(600)).estimate(test.texts).quality
    found = found - found.mean(axis=1, keepdims=True)
    quality = test.quality - test.quality.mean(axis=1, keepdims=True)
    assert 0.7 < (found * quality).sum() / (found**2).sum() < 1.3


def test_what_an_arm_lacks_at_the_price_that_suits_it_best() -> None:
    quality = np.array([0.5, 0.7, 0.8, 0.6])
    cost = np.array([1.0, 2.0, 4.0, 4.0])
    lacking = shortfall(quality, cost)
    np.testing.assert_allclose(lacking[:3], 0, atol=1e-9)
    assert 0.15 < lacking[3] < 0.2 + 1e-9


def test_without_costs_the_best_arm_alone_lacks_nothing() -> None:
    quality = np.array([0.5, 0.7, 0.8])
    np.testing.assert_allclose(shortfall(quality, np.full(3, np.nan)), [0.3, 0.1, 0])
    np.testing.assert_allclose(shortfall(quality, np.array([1.0, 2.0, np.nan])), [0, 0, 0])
