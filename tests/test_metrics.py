"""Figures of merit against their field definitions, worked out by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fusionfactory.metrics import (
    aiq,
    apgr,
    cost_save,
    curve,
    gap_closed,
    hull,
    mean_or_nan,
    pareto_distance,
    pareto_mask,
    selection_entropy,
    taken,
)

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

NAN = math.nan

# Dyadic fractions, so that collinear points are exactly collinear.
POINTS = arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.just(2)),
    elements=st.integers(0, 64).map(lambda i: i / 64),
)
FAST = settings(max_examples=60, deadline=None)


# Means and curves


def test_taken_picks_one_column_per_row() -> None:
    cells = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert taken(cells, np.array([1, 0])).tolist() == [2.0, 3.0]
    assert taken(cells, np.array([[0, 0], [1, 1]])).tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_a_mean_leaves_out_the_unknown() -> None:
    assert mean_or_nan(np.array([1.0, NAN, 3.0])) == 2.0
    assert math.isnan(mean_or_nan(np.array([NAN])))


def test_a_curve_holds_cost_then_quality_per_choice() -> None:
    quality = np.array([[0.0, 1.0], [1.0, NAN]])
    cost = np.array([[1.0, 3.0], [2.0, NAN]])
    points = curve(quality, cost, np.array([[0, 0], [1, 1], [1, 0]]))
    np.testing.assert_allclose(points, [[1.5, 0.5], [3.0, 1.0], [2.5, 1.0]])


def test_a_curve_of_nothing_known_is_unknown() -> None:
    unknown = np.full((2, 2), NAN)
    assert np.isnan(curve(unknown, unknown, np.array([[0, 1]]))).all()


# Hull


def test_hull_by_hand() -> None:
    points = np.array([
        [4.0, 0.7],  # on the hull
        [1.0, 0.2],  # on the hull
        [2.0, 0.6],  # on the hull
        [3.0, 0.62],  # below the line from 2 to 4
        [2.0, 0.3],  # dominated at the same cost
        [5.0, 0.65],  # dearer and worse
        [NAN, 0.9],
    ])  # fmt: skip
    np.testing.assert_allclose(hull(points), [[1.0, 0.2], [2.0, 0.6], [4.0, 0.7]])


def test_hull_of_nothing_is_empty() -> None:
    assert hull(np.zeros((0, 2))).shape == (0, 2)
    assert hull(np.array([[NAN, NAN]])).shape == (0, 2)


@FAST
@given(POINTS)
def test_hull_rises_is_concave_and_lies_above_its_points(points: FloatArray) -> None:
    upper = hull(points)
    steps = np.diff(upper, axis=0)
    assert (steps > 0).all()
    slopes = steps[:, 1] / steps[:, 0]
    assert (np.diff(slopes) < 1e-12).all()
    assert (np.interp(points[:, 0], upper[:, 0], upper[:, 1]) >= points[:, 1] - 1e-12).all()
    assert {tuple(p) for p in upper.tolist()} <= {tuple(p) for p in points.tolist()}


# AIQ


def test_aiq_by_hand() -> None:
    # Hull from (0, .2) to (.5, .8), flat to 1: (.2 + .8) / 2 * .5 + .8 * .5 = .65
    points = np.array([[0.5, 0.8], [0.7, 0.1]])
    assert aiq(points, np.array([0.0, 0.2]), 1.0) == pytest.approx(0.65)


def test_aiq_cuts_the_hull_at_the_end_of_the_range() -> None:
    # The hull reaches .8 at 2 and is .5 at 1: (.2 + .5) / 2
    assert aiq(np.array([[2.0, 0.8]]), np.array([0.0, 0.2]), 1.0) == pytest.approx(0.35)


def test_aiq_of_a_constant_router_is_its_quality() -> None:
    assert aiq(np.array([[1.0, 0.4]]), np.array([1.0, 0.4]), 3.0) == pytest.approx(0.4)


def test_aiq_needs_a_range() -> None:
    points = np.array([[1.0, 0.5]])
    assert math.isnan(aiq(points, np.array([1.0, 0.5]), 1.0))
    assert math.isnan(aiq(points, np.array([NAN, 0.5]), NAN))


@FAST
@given(POINTS)
def test_aiq_lies_between_the_lowest_and_the_highest_quality(points: FloatArray) -> None:
    cheapest = points[np.lexsort((points[:, 1], points[:, 0]))[0]]
    value = aiq(points, cheapest, float(cheapest[0]) + 1.0)
    assert cheapest[1] - 1e-9 <= value <= points[:, 1].max() + 1e-9


# Savings and gaps


def test_cost_save_is_one_minus_the_least_cost_that_keeps_the_quality() -> None:
    points = np.array([[1.0, 0.595], [2.0, 0.60], [3.0, 0.65], [8.0, 0.61]])
    assert cost_save(points, 0.60, 10.0) == pytest.approx(0.8)
    assert cost_save(points, 0.60, 10.0, give_up=0.01) == pytest.approx(0.9)


def test_cost_save_is_zero_where_the_quality_is_never_reached() -> None:
    points = np.array([[1.0, 0.5], [2.0, 0.585]])
    assert cost_save(points, 0.60, 10.0) == 0.0
    assert cost_save(points, 0.60, 10.0, give_up=0.01) == 0.0


def test_cost_save_is_negative_where_only_more_money_reaches_it() -> None:
    assert cost_save(np.array([[12.0, 0.7]]), 0.6, 10.0) == pytest.approx(-0.2)


def test_cost_save_allows_for_rounding() -> None:
    assert cost_save(np.array([[5.0, 0.1 + 0.2]]), 0.3, 10.0) == pytest.approx(0.5)
    assert cost_save(np.array([[5.0, 0.3]]), 0.1 + 0.2, 10.0) == pytest.approx(0.5)


@pytest.mark.parametrize("cost", [0.0, NAN])
def test_nothing_is_saved_on_what_costs_nothing_or_the_unknown(cost: float) -> None:
    assert cost_save(np.array([[1.0, 1.0]]), 0.5, cost) == 0.0


def test_gap_closed() -> None:
    assert gap_closed(0.65, 0.6, 0.8) == pytest.approx(0.25)
    assert gap_closed(0.5, 0.6, 0.8) == pytest.approx(-0.5)
    assert math.isnan(gap_closed(0.6, 0.8, 0.8))
    assert math.isnan(gap_closed(0.6, NAN, 0.8))


# APGR


def test_apgr_of_a_perfect_order() -> None:
    # Gains 1, 1, 0, 0 in that order: recovered 0, .5, 1, 1, 1 at shares 0 .. 4/4.
    quality = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    assert apgr(quality, np.array([4.0, 3.0, 2.0, 1.0])) == pytest.approx(0.7)
    assert apgr(quality, np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(0.3)


def test_apgr_of_chance_is_a_half() -> None:
    rng = np.random.default_rng(0)
    quality = np.stack([rng.random(4000) < 0.4, rng.random(4000) < 0.7], axis=1).astype(float)
    assert apgr(quality, rng.random(4000)) == pytest.approx(0.5, abs=0.03)


def test_apgr_of_no_preference_is_a_half_whatever_the_order_of_rows() -> None:
    quality = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    assert apgr(quality, np.ones(4)) == pytest.approx(0.5)
    assert apgr(quality[::-1], np.ones(4)) == pytest.approx(0.5)


def test_apgr_leaves_out_what_is_unknown() -> None:
    quality = np.array([[0.0, 1.0], [NAN, 1.0], [1.0, 1.0], [0.0, 0.0]])
    # Left: gains 1 and 0: recovered 0, 1, 1.
    assert apgr(quality, np.array([2.0, 9.0, 1.0, NAN])) == pytest.approx(2 / 3)


def test_apgr_needs_a_stronger_arm() -> None:
    assert math.isnan(apgr(np.array([[1.0, 1.0], [1.0, 0.0]]), np.array([1.0, 2.0])))
    assert math.isnan(apgr(np.full((2, 2), NAN), np.array([1.0, 2.0])))


# Selection


def test_entropy_is_in_bits() -> None:
    assert selection_entropy(np.array([0, 1, 2, 3]), 4) == (2.0, 0.25)
    assert selection_entropy(np.array([0, 0, 0, 1]), 2)[0] == pytest.approx(0.8112781)
    assert selection_entropy(np.array([2, 2]), 3) == (0.0, 1.0)


# Pareto


def test_pareto_points() -> None:
    points = np.array([[1.0, 0.5], [2.0, 0.5], [2.0, 0.7], [3.0, 0.6], [1.0, 0.5]])
    assert pareto_mask(points).tolist() == [True, False, True, False, True]


@FAST
@given(POINTS)
def test_every_point_is_on_the_frontier_or_beaten_by_it(points: FloatArray) -> None:
    kept = points[pareto_mask(points)]
    assert len(kept)
    beaten = (kept[None, :, 0] <= points[:, None, 0]) & (kept[None, :, 1] >= points[:, None, 1])
    assert beaten.any(axis=1).all()


def test_distance_to_the_frontier_is_scaled_by_the_spans() -> None:
    frontier = np.array([[0.0, 0.5], [10.0, 1.0]])
    spans = np.array([10.0, 0.5])
    assert pareto_distance(frontier, frontier, spans) == 0.0
    # (10, .5 + .35) is .3 of the quality's span below (10, 1); (10, .1) is not on the own frontier.
    own = np.array([[10.0, 0.85], [10.0, 0.1]])
    assert pareto_distance(own, frontier, spans) == pytest.approx(0.3)
