"""Sums over blocks tell what the whole table tells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfactory.contest import Contest
from fusionfactory.errors import TableError
from fusionfactory.missing import CellSums, adjusted_means
from fusionfactory.outcome_sums import OutcomeSums
from fusionfactory.policy import Normaliser, Policy
from fusionfactory.testing import make_table

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

TABLE = make_table(150, 4, missing=0.2)


def blocks(table: OutcomeTable, size: int) -> list[OutcomeTable]:
    """The table's queries, so many at a time."""
    return [table.rows(np.arange(i, min(i + size, len(table)))) for i in range(0, len(table), size)]


def least_squares(values: np.ndarray) -> np.ndarray:
    """Means of the columns of a complete table, by row + column effects of what is known of it."""
    row, column = np.nonzero(~np.isnan(values))
    n, m = values.shape
    design = np.zeros((len(row), n + m))
    design[np.arange(len(row)), row] = design[np.arange(len(row)), n + column] = 1.0
    effects = np.linalg.lstsq(design, values[row, column], rcond=None)[0]
    return np.asarray(effects[:n].mean() + effects[n:])


def test_an_arm_that_only_met_easy_queries_gains_nothing_in_any_block() -> None:
    rng = np.random.default_rng(0)
    ease = rng.uniform(0.2, 0.8, 400)
    values = ease[:, None] + np.array([0.0, 0.1, -0.1])
    values[ease < 0.5, 0] = np.nan
    sums = CellSums(3)
    for part in np.array_split(values, 7):
        sums.add(part)
    assert sums.means() == pytest.approx(ease.mean() + np.array([0.0, 0.1, -0.1]), abs=0.01)
    assert np.nanmean(values[:, 0]) > sums.means()[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 99), st.floats(0, 0.6))
def test_means_do_not_depend_on_the_blocks(size: int, seed: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random((60, 5))
    values[rng.random((60, 5)) < missing] = np.nan
    sums = CellSums(5)
    for start in range(0, 60, size):
        sums.add(values[start : start + size])
    assert sums.means() == pytest.approx(adjusted_means(values), abs=1e-12, nan_ok=True)


def test_means_are_those_of_least_squares_but_for_the_prior() -> None:
    rng = np.random.default_rng(3)
    values = rng.random((300, 4)) * 0.5 + rng.random((300, 1)) * 0.4
    values[rng.random(values.shape) < 0.3] = np.nan
    assert CellSums(4).add(values).means() == pytest.approx(least_squares(values), abs=5e-3)


@pytest.mark.parametrize("size", [7, 150])
def test_arms_are_told_apart_as_by_the_table(size: int) -> None:
    sums = OutcomeSums.of(*blocks(TABLE, size))
    assert sums.queries == len(TABLE)
    assert sums.coverage() == pytest.approx(TABLE.coverage())
    assert sums.arm_quality() == pytest.approx(TABLE.arm_quality(), abs=1e-12)
    assert sums.arm_cost_usd() == pytest.approx(TABLE.arm_cost_usd(), abs=1e-15)
    assert (sums.best_single(), sums.cheapest()) == (TABLE.best_single(), TABLE.cheapest())
    assert sums.arm_names[sums.dearest()] == "arm-3"
    assert sums.tasks == tuple(sorted(set(TABLE.tasks.tolist())))
    assert sums.task_queries.tolist() == [(TABLE.tasks == task).sum() for task in sums.tasks]
    whole = Normaliser().fit(TABLE)
    assert sums.normaliser().tasks_ == whole.tasks_
    assert np.array_equal(sums.normaliser().ranges_, whole.ranges_)


@pytest.mark.parametrize("policy", ["performance", "balance", "cost", "price:0.00001", "budget:1"])
def test_rewards_are_those_of_the_cells(policy: str) -> None:
    chosen = Policy.parse(policy)
    contest = Contest.of(TABLE, 0, 0.3)
    train = contest.train
    total, count = OutcomeSums.of(*blocks(train, 13)).reward(chosen, contest.normaliser)
    rewards = contest.reward(train, chosen)
    for row, task in enumerate(contest.normaliser.tasks_):
        own = rewards[train.tasks == task]
        assert count[row].tolist() == (~np.isnan(own)).sum(axis=0).tolist()
        assert total[row] == pytest.approx(np.nansum(own, axis=0), abs=1e-9)


def test_a_table_without_costs_or_with_an_unscored_arm() -> None:
    quality = TABLE.quality.copy()
    quality[:, 2] = np.nan
    bare = replace(TABLE, quality=quality, cost_usd=np.full_like(quality, np.nan))
    sums = OutcomeSums.of(*blocks(bare, 40))
    assert not sums.has_costs
    assert np.isnan(sums.arm_cost_usd()).all()
    assert np.isnan(sums.arm_quality()[2])
    assert sums.best_single() == bare.best_single()
    assert (sums.normaliser().ranges_[:, 2:] == 0).all()


def test_nothing_scored_has_no_best_arm() -> None:
    bare = replace(TABLE, quality=np.full_like(TABLE.quality, np.nan))
    with pytest.raises(TableError, match="no cell carries a quality"):
        OutcomeSums.of(bare).best_single()


def test_blocks_of_other_arms_are_refused() -> None:
    with pytest.raises(TableError, match="expected"):
        OutcomeSums.of(TABLE).add(TABLE.select_arms(["arm-1", "arm-0"]))
