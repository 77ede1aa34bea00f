"""How far estimates may be off: known on made-up data, calibrated on queries held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.routers import load_router, make_router, save_router
from fusionfactory.routers.doubt import Doubt
from fusionfactory.routers.folds import fold_numbers
from fusionfactory.routers.forest import Forest
from fusionfactory.testing import make_table

if TYPE_CHECKING:
    from pathlib import Path

SPECS = ("trees", "stack")


def smooth_errors(
    scale: float, seed: int = 0, queries: int = 1500
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Queries on a circle, a smooth error of standard deviation scale x spread, and coin flips."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, queries)
    rows = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    wave = np.sqrt(2) * np.sin(3 * angle[:, None] + rng.uniform(0, 6, 8))
    spread = 0.2 + 0.1 * rng.random((1, 8))
    errors = scale * spread * wave + rng.choice([-0.4, 0.4], (queries, 8))
    return rows, errors, np.tile(spread**2, (queries, 1)), scale * spread[0]


@pytest.mark.parametrize("scale", [0.3, 0.6])
def test_chance_is_told_from_error(scale: float) -> None:
    rows, errors, variance, true = smooth_errors(scale)
    found = Doubt().fit(rows, errors, variance, np.arange(len(rows)) % 3).std(variance)
    np.testing.assert_allclose(found.mean(axis=0), true, rtol=0.25)


def test_pure_chance_leaves_little_doubt() -> None:
    rows, errors, variance, _ = smooth_errors(0.0)
    found = Doubt().fit(rows, errors, variance, np.arange(len(rows)) % 3).std(variance)
    assert errors.std() == pytest.approx(0.4, abs=0.01)
    assert found.max() < 0.08


def test_missing_cells_say_nothing() -> None:
    rows, errors, variance, true = smooth_errors(0.6, queries=3000)
    errors[np.random.default_rng(1).random(errors.shape) < 0.5] = np.nan
    found = Doubt().fit(rows, errors, variance, np.arange(len(rows)) % 3).std(variance)
    np.testing.assert_allclose(found.mean(axis=0), true, rtol=0.3)


def test_few_queries_fall_back_on_a_share_of_the_spread() -> None:
    variance = np.full((3, 2), 0.04)
    doubt = Doubt().fit(np.eye(3), np.full((3, 2), np.nan), variance, np.arange(3))
    np.testing.assert_allclose(doubt.std(variance), np.sqrt(0.004))


def test_near_duplicates_share_a_fold() -> None:
    groups = np.array([0, 1, 2, 0, 3, 2])
    folds = fold_numbers(groups, 3, seed=0)
    assert folds[0] == folds[3]
    assert folds[2] == folds[5]
    assert set(folds.tolist()) == {0, 1, 2}
    assert set(fold_numbers(groups, 9, seed=0).tolist()) == {0, 1, 2, 3}


def test_trees_that_belong_together_count_as_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    y = x[:, :2] + rng.normal(size=(200, 2))
    first, second = (Forest(trees=5, seed=seed).fit(x, y) for seed in (0, 1))
    mean, variance = Forest.weighted_sum([first, second], [2.0, -2.0]).moments(x, members=2)
    np.testing.assert_allclose(mean, 2 * first.predict(x) - 2 * second.predict(x), atol=1e-5)
    same = Forest.weighted_sum([first, first], [2.0, -2.0]).moments(x, members=2)[1]
    np.testing.assert_allclose(same, 0, atol=1e-10)
    assert variance.min() >= 0
    assert variance.mean() > 0.01


@pytest.mark.parametrize("spec", SPECS)
def test_standardised_errors_of_groups_are_standard(spec: str) -> None:
    train, test = make_table(400), make_table(400, seed=5)
    estimates = make_router(spec).fit(train).estimate(test.texts)
    skill = np.where(
        np.arange(3) == np.array([["sums", "code", "facts"].index(t) for t in test.tasks])[:, None],
        0.8,
        0.3,
    )
    assert estimates.quality_std is not None
    standard = (estimates.quality - skill) / estimates.quality_std
    assert 0.4 < np.sqrt((standard**2).mean()) < 1.6


@pytest.mark.parametrize("spec", SPECS)
def test_doubt_is_saved(spec: str, tmp_path: Path) -> None:
    table = make_table(missing=0.2)
    router = make_router(spec).fit(table)
    save_router(router, tmp_path / "router")
    found = load_router(tmp_path / "router").estimate(table.texts[:7]).quality_std
    expected = router.estimate(table.texts[:7]).quality_std
    assert found is not None
    assert expected is not None
    np.testing.assert_array_equal(found, expected)
    assert (found > 0).all()


@pytest.mark.parametrize("spec", SPECS)
def test_more_queries_leave_less_doubt(spec: str) -> None:
    asked = make_table(50, seed=9).texts
    few, many = (make_router(spec).fit(make_table(n)).estimate(asked) for n in (80, 800))
    assert few.quality_std is not None
    assert many.quality_std is not None
    assert many.quality_std.mean() < few.quality_std.mean()
