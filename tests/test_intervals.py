"""Paired bootstrap intervals: coverage, shared draws, groups of near-duplicates, several seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.intervals import Bootstrap

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

NAN = math.nan


def _normal(values: FloatArray) -> tuple[float, float]:
    half = 1.96 * values.std() / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def test_a_constant_difference_has_an_interval_of_no_width() -> None:
    rows = np.arange(20)
    low, high = Bootstrap(rows, draws=200).interval([rows], [np.full(20, 0.25)])
    assert (low, high) == pytest.approx((0.25, 0.25))


def test_the_interval_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(0.1, 1.0, 800)
    rows = np.arange(800)
    found = Bootstrap(rows, draws=2000).interval([rows], [values])
    np.testing.assert_allclose(found, _normal(values), atol=0.01)


def test_ninety_five_of_a_hundred_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(2)
    rows = np.arange(150)
    bootstrap = Bootstrap(rows, draws=400)
    hits = 0
    for _ in range(200):
        low, high = bootstrap.interval([rows], [(rng.random(150) < 0.3).astype(float)])
        hits += low <= 0.3 <= high
    assert 180 <= hits <= 199


def test_a_wider_level_gives_a_wider_interval() -> None:
    values = np.random.default_rng(3).normal(size=100)
    rows = np.arange(100)
    bootstrap = Bootstrap(rows)
    low, high = bootstrap.interval([rows], [values], level=0.5)
    wide_low, wide_high = bootstrap.interval([rows], [values], level=0.99)
    assert wide_low < low < high < wide_high


def test_the_same_seed_draws_the_same() -> None:
    values = np.random.default_rng(4).normal(size=50)
    rows = np.arange(50)
    one = Bootstrap(rows, seed=7).interval([rows], [values])
    assert one == Bootstrap(rows, seed=7).interval([rows], [values])
    assert one != Bootstrap(rows, seed=8).interval([rows], [values])


def test_everyone_gets_the_same_draws() -> None:
    rng = np.random.default_rng(5)
    rows = np.arange(60)
    values = rng.normal(size=60)
    bootstrap = Bootstrap(rows)
    low, high = bootstrap.interval([rows], [values])
    bootstrap.interval([rows], [rng.normal(size=60)])
    shifted = bootstrap.interval([rows], [values + 1.0])
    assert shifted == pytest.approx((low + 1.0, high + 1.0), abs=1e-5)


# Missing cells


def test_unknown_differences_do_not_count() -> None:
    values = np.random.default_rng(6).normal(size=400)
    gappy = values.copy()
    gappy[::2] = NAN
    rows = np.arange(400)
    found = Bootstrap(rows, draws=2000).interval([rows], [gappy])
    np.testing.assert_allclose(found, _normal(values[1::2]), atol=0.03)


def test_nothing_known_is_no_interval() -> None:
    rows = np.arange(5)
    assert all(map(math.isnan, Bootstrap(rows).interval([rows], [np.full(5, NAN)])))


# Several seeds


def test_seeds_on_the_same_queries_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(7).normal(size=200)
    rows = np.arange(200)
    bootstrap = Bootstrap(rows)
    one = bootstrap.interval([rows], [values])
    five = bootstrap.interval([rows] * 5, [values] * 5)
    assert five == pytest.approx(one, abs=1e-5)


def test_seeds_on_other_queries_narrow_it() -> None:
    values = np.random.default_rng(8).normal(size=400)
    rows = np.arange(400)
    bootstrap = Bootstrap(rows, draws=2000)
    low, high = bootstrap.interval([rows[:200]], [values[:200]])
    both_low, both_high = bootstrap.interval([rows[:200], rows[200:]], [values[:200], values[200:]])
    assert (both_high - both_low) / (high - low) == pytest.approx(1 / math.sqrt(2), abs=0.1)


def test_the_statistic_is_the_mean_of_the_seeds_means() -> None:
    rows = [np.array([0, 1, 2]), np.array([2, 3])]
    differences = [np.full(3, 1.0), np.full(2, 4.0)]
    # However queries are weighed, as long as both seeds keep one: (1 + 4) / 2.
    low, high = Bootstrap(np.arange(4), draws=300).interval(rows, differences)
    assert (low, high) == pytest.approx((2.5, 2.5))


def test_rows_name_queries_of_the_whole_table() -> None:
    values = np.random.default_rng(9).normal(size=50)
    picked = np.arange(100, 150)
    backwards = Bootstrap(np.arange(200)).interval([picked[::-1]], [values[::-1]])
    assert backwards == pytest.approx(
        Bootstrap(np.arange(200)).interval([picked], [values]), abs=1e-6
    )


# Near-duplicates


def test_near_duplicates_are_drawn_together() -> None:
    values = np.random.default_rng(10).normal(size=100)
    single = Bootstrap(np.arange(100), draws=500)
    quadruple = Bootstrap(np.repeat(np.arange(100), 4), draws=500)
    low, high = single.interval([np.arange(100)], [values])
    copied = quadruple.interval([np.arange(400)], [np.repeat(values, 4)])
    # Four copies of each query carry no more information than one.
    assert copied == pytest.approx((low, high), abs=1e-5)
    naive = Bootstrap(np.arange(400), draws=500).interval([np.arange(400)], [np.repeat(values, 4)])
    assert naive[1] - naive[0] < 0.6 * (high - low)
