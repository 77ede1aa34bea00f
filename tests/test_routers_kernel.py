"""Kernels on landmarks: smooth functions are found, within the task that a query is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.encoders import make_encoder
from fusionfactory.errors import InputError
from fusionfactory.routers import load_router, make_router, save_router
from fusionfactory.routers.kernel import KernelSmoother
from fusionfactory.routers.linear import solve_ridge
from fusionfactory.routers.stack import StackRouter
from fusionfactory.routers.tasks import TaskHead
from fusionfactory.routers.views import Views
from fusionfactory.testing import make_table

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.types import FloatArray, IntArray


def circle(queries: int, seed: int) -> tuple[FloatArray, IntArray, FloatArray]:
    """Points of one part, two tasks, and two arms whose difference turns round with the task."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, queries)
    labels = rng.integers(2, size=queries)
    wave = 0.3 * np.sin(2 * angle) * np.where(labels == 0, 1, -1)
    quality = np.stack([0.5 + wave, 0.5 - wave], axis=1) + rng.normal(0, 0.1, (queries, 2))
    rows = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    return rows, labels, quality


def test_a_kernel_finds_what_turns_round_with_the_task() -> None:
    rows, labels, quality = circle(1000, 0)
    folds = np.arange(len(rows)) % 4
    smoother = KernelSmoother(landmarks=80)
    held = smoother.cross_fit([rows], np.eye(2)[labels], quality, labels, folds)
    asked, of, truth = circle(300, 1)
    found = smoother.predict([asked], np.eye(2)[of])
    for values, target in ((held, quality), (found, truth)):
        chance = 0.01
        assert (values - (target - 0.5)).var() < 1.2 * chance
    blind = smoother.predict([asked], np.full((300, 2), 0.5))
    assert np.abs(blind).mean() < 0.3 * np.abs(found).mean()


def test_out_of_fold_tells_chance_from_skill() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 8)).astype(np.float32)
    quality = (rng.random((600, 3)) < 0.5).astype(float)
    labels = np.zeros(600, dtype=np.int64)
    smoother = KernelSmoother(landmarks=200)
    held = smoother.cross_fit([rows], np.ones((600, 1)), quality, labels, np.arange(600) % 5)
    assert ((quality - 0.5 - held) ** 2).mean() < 1.02 * ((quality - 0.5) ** 2).mean()


def test_equal_rows_have_a_kernel_too() -> None:
    rows, labels = np.ones((20, 3), dtype=np.float32), np.zeros(20, dtype=np.int64)
    quality = np.tile([0.0, 1.0], (20, 1))
    smoother = KernelSmoother(landmarks=5)
    smoother.cross_fit([rows], np.ones((20, 1)), quality, labels, np.arange(20) % 2)
    np.testing.assert_allclose(smoother.predict([rows], np.ones((20, 1))), 0, atol=1e-9)


def test_no_landmark_is_no_kernel() -> None:
    with pytest.raises(InputError, match="must be at least 1, got 0"):
        make_router("kernel:landmarks=0").fit(make_table())
    with pytest.raises(InputError, match="must be at least 2, got 1"):
        make_router("kernel:folds=1").fit(make_table())


def test_the_stack_does_without_a_kernel(tmp_path: Path) -> None:
    table = make_table(200)
    for spec in ("stack:trees=5,landmarks=0", "stack:trees=5,landmarks=40"):
        router = make_router(spec).fit(table)
        save_router(router, tmp_path / "router")
        loaded = load_router(tmp_path / "router").estimate(table.texts[:9])
        np.testing.assert_array_equal(loaded.quality, router.estimate(table.texts[:9]).quality)


def test_every_encoder_is_a_part_of_its_own() -> None:
    texts = make_table(60).texts
    encoder = make_encoder("hashing+hashing+text").fit(texts)
    features = encoder.encode(texts)
    parts = Views().fit(features, encoder).kernel(features)
    widths = [columns for _, columns in encoder.blocks(features.shape[1])]
    assert [part.shape[1] for part in parts] == [*widths[:2], widths[2] + widths[3], widths[4]]
    for part in parts[:3]:
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=1e-5)


def test_each_column_may_have_its_own_penalty() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 60))
    y = np.stack([x[:, 0] * 3, rng.normal(0, 3, 80)], axis=1)
    together, alone = solve_ridge(x, y)[0], solve_ridge(x, y, each=True)[0]
    wanted = np.zeros(60)
    wanted[0] = 3
    assert np.abs(alone[:, 0] - wanted).sum() < 0.5 * np.abs(together[:, 0] - wanted).sum()
    np.testing.assert_allclose(alone[:, :1], solve_ridge(x, y[:, :1])[0])


def test_odds_of_labels_that_a_head_never_met_are_0() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 3], 30)
    x = rng.normal(size=(60, 2)) + labels[:, None]
    odds = TaskHead().fit(x, labels, rng.random((60, 2))).odds(x, 5)
    assert (odds[:, [0, 2, 4]] == 0).all()
    np.testing.assert_allclose(odds.sum(axis=1), 1)
    assert (odds.argmax(axis=1) == labels).mean() > 0.9


def test_a_member_that_found_nothing_is_not_blown_up() -> None:
    rng = np.random.default_rng(0)
    router = make_router("stack:trees=2")
    assert isinstance(router, StackRouter)
    router.mean_ = np.zeros(3)
    quality = rng.normal(size=(500, 3))
    good, nothing = quality + rng.normal(size=(500, 3)), quality * 1e-7
    router._weigh(np.stack([good, nothing, np.zeros_like(good)]), quality, None)
    np.testing.assert_allclose(router.weights_, [0.5, 2, 0], atol=0.05)
