"""Ceilings: luck is told from skill, on outcomes whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import TableError
from fusionfactory.robustness import ceilings, sampled_oracle
from fusionfactory.testing import make_table

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

N = 1500
BASE = make_table(N, 6, seed=1)
UNNAMED = BASE.queries.with_columns(task=pl.lit(None, dtype=pl.String))


def _drawn(expected: FloatArray, seed: int = 0) -> OutcomeTable:
    """Right or wrong answers of arms that are right with these probabilities."""
    right = np.random.default_rng(seed).random(expected.shape) < expected
    return replace(BASE, queries=UNNAMED, quality=right.astype(np.float64))


def test_arms_that_differ_by_luck_alone_leave_nothing_to_route() -> None:
    found = ceilings(_drawn(np.full((N, 6), 0.6)))
    assert found.oracle > 0.98
    assert found.corrected == pytest.approx(0.6, abs=0.03)
    assert found.luck > 0.9
    assert found.replayed == pytest.approx(found.oracle, abs=0.01)


def test_skill_by_kind_of_query_is_no_luck() -> None:
    kind = np.arange(N) % 2
    expected = np.where((np.arange(6) % 2)[None] == kind[:, None], 0.9, 0.2)
    found = ceilings(_drawn(expected))
    assert found.best_single < 0.6
    assert found.corrected == pytest.approx(0.9, abs=0.04)
    assert found.kinds > 1


def test_arms_that_always_succeed_somewhere_reach_the_oracle() -> None:
    expected = np.eye(6)[np.arange(N) % 6]
    found = ceilings(_drawn(expected))
    assert found.oracle == 1
    assert found.luck < 0.1


def test_arms_that_fail_together_are_told_from_arms_that_fail_apart() -> None:
    hard = np.arange(N) < N // 5
    together = ceilings(_drawn(np.where(hard[:, None], 0.0, np.full((N, 6), 0.9))))
    assert together.co_failure == pytest.approx(0.2, abs=0.01)
    assert together.co_failure_if_independent < 0.01
    assert together.oracle == pytest.approx(1 - together.co_failure)


def test_one_arm_has_no_gain() -> None:
    found = ceilings(BASE.select_arms(BASE.arm_names[:1]))
    assert found.best_single == found.oracle == found.corrected
    assert np.isnan(found.luck)


def test_queries_that_an_arm_missed_are_left_out() -> None:
    table = make_table(200, 3, missing=0.1, seed=2)
    assert ceilings(table).queries == int(table.observed().all(axis=1).sum()) < 200
    none = replace(table, quality=np.where(np.eye(3)[np.arange(200) % 3] > 0, np.nan, 0.5))
    with pytest.raises(TableError, match="no query was answered by every arm"):
        ceilings(none)


def test_samples_give_the_oracle_without_luck() -> None:
    expected = np.full((N, 6), 0.6)
    lucky = [_drawn(expected, seed) for seed in range(3)]
    assert sampled_oracle(lucky) == pytest.approx(0.6, abs=0.02)
    skilled = np.where(np.eye(6)[np.arange(N) % 6] > 0, 0.95, 0.1)
    assert sampled_oracle([_drawn(skilled, seed) for seed in range(4)]) > 0.9


def test_samples_must_belong_together() -> None:
    with pytest.raises(TableError, match="at least two samples of every answer, got 1"):
        sampled_oracle([BASE])
    with pytest.raises(TableError, match="differ in queries or arms"):
        sampled_oracle([BASE, BASE.rows(np.arange(10))])
