"""Where several answers to one query were scored, their mean counts for more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.errors import TableError
from fusionfactory.routers import make_router
from fusionfactory.routers.forest import Forest
from fusionfactory.routers.noise import cell_weights
from fusionfactory.store import Store
from fusionfactory.testing import make_table

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.types import FloatArray


def answered(between: float, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Means of 1 or 20 answers to queries of chance .5 -/+ between."""
    rng = np.random.default_rng(seed)
    samples = np.where(rng.random((4000, 2)) < 0.5, 1.0, 20.0)
    chance = 0.5 + np.where(rng.random((4000, 2)) < 0.5, between, -between)
    return rng.binomial(samples.astype(int), chance) / samples, samples


@pytest.mark.parametrize(("between", "ratio"), [(0.0, 10.3), (0.3, 2.56), (0.5, 1.0)])
def test_more_answers_count_as_far_as_chance_goes(between: float, ratio: float) -> None:
    quality, samples = answered(between)
    weights = cell_weights(quality, samples)
    assert weights is not None
    one, twenty = (float(weights[samples == count].mean()) for count in (1, 20))
    assert twenty / one == pytest.approx(ratio, rel=0.1)
    assert weights.mean() == pytest.approx(1)


def test_equal_counts_and_unknown_ones_change_nothing() -> None:
    quality, samples = answered(0.2)
    assert cell_weights(quality, None) is None
    assert cell_weights(quality, np.full_like(samples, 3)) is None
    assert cell_weights(quality, np.ones_like(samples)) is None


def test_leaves_hold_weighted_means() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat([0.0, 1.0], 200)[:, None].astype(np.float32)
    sure = rng.random(400) < 0.5
    y = np.where(sure, x[:, 0], 0.5)[:, None]
    weights = np.where(sure, 100.0, 0.01)[:, None]
    found = Forest(trees=10, max_features=1.0).fit(x, y, weights=weights).predict(x[[0, -1]])
    np.testing.assert_allclose(found[:, 0], [0, 1], atol=0.02)


def test_the_stack_leans_on_cells_that_were_asked_often() -> None:
    truth = np.array([[0.8, 0.3, 0.3], [0.3, 0.8, 0.3], [0.3, 0.3, 0.8]])
    names = ["sums", "code", "facts"]
    errors: dict[str, list[float]] = {"counted": [], "not counted": []}
    for seed in range(3):
        table = make_table(400, seed=seed)
        skill = truth[[names.index(task) for task in table.tasks]]
        rng = np.random.default_rng(seed)
        samples = np.where(rng.random(len(table)) < 0.3, 50.0, 1.0)[:, None] * np.ones((1, 3))
        table.quality[:] = rng.binomial(samples.astype(int), skill) / samples
        test = make_table(200, seed=9)
        wanted = truth[[names.index(task) for task in test.tasks]]
        for name, counts in (("counted", samples), ("not counted", None)):
            router = make_router("stack:trees=10").fit(replace(table, samples=counts))
            errors[name].append(np.abs(router.estimate(test.texts).quality - wanted).mean().item())
    assert np.mean(errors["counted"]) < np.mean(errors["not counted"])


def test_a_store_tells_how_many_answers_a_mean_is_of(tmp_path: Path) -> None:
    table = make_table(6)
    with Store(tmp_path / "store.db") as store:
        store.write_table(table)
        store.write_table(table.rows(np.arange(2)), sample=1)
        means = store.table(sample=None)
        assert store.table().samples is None
    assert means.samples is not None
    np.testing.assert_array_equal(means.samples[:, 0], [2, 2, 1, 1, 1, 1])
    part = means.rows(np.array([1, 2])).select_arms(["arm-1"]).samples
    assert part is not None
    np.testing.assert_array_equal(part, [[2], [1]])


def test_counts_of_another_shape_are_refused() -> None:
    with pytest.raises(TableError, match=r"has shape \(2, 2\), expected \(6, 3\)"):
        replace(make_table(6), samples=np.ones((2, 2)))
