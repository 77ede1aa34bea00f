"""Routers that learn block by block are those that learn from the whole table."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.encoders import make_encoder
from fusionfactory.errors import TableError, UnsupportedError
from fusionfactory.outcome_sums import OutcomeSums
from fusionfactory.policy import Policy
from fusionfactory.routers import ROUTERS, load_router, make_router, save_router
from fusionfactory.routers.gram import RidgeSums
from fusionfactory.routers.linear import solve_ridge
from fusionfactory.routers.stream import Stream
from fusionfactory.testing import make_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fusionfactory.routers.stream import Block
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

TABLE = make_table(400, 4, missing=0.1)
TEST = make_table(80, 4, seed=1)
FROM_STATISTICS = (
    "ridge", "clusters", "elo", "task", "best_single", "cheapest", "dearest", "random",
)  # fmt: skip


def stream(
    table: OutcomeTable,
    name: str | None = "text",
    *,
    sample: OutcomeTable | None = None,
    size: int = 37,
) -> Stream:
    """The table in blocks without texts, encoded; no name leaves rows without columns."""
    sample = sample or table
    encoder = make_encoder(name).fit(sample.texts) if name else None
    parts = [np.arange(i, min(i + size, len(table))) for i in range(0, len(table), size)]

    def blocks() -> Iterator[Block]:
        for rows in parts:
            part = table.rows(rows)
            empty = part.queries.with_columns(query=None)
            features = encoder.encode(part.texts) if encoder else np.zeros((len(part), 0))
            yield replace(part, queries=empty, responses=None), features

    return Stream(
        blocks=blocks,
        sums=OutcomeSums.of(*(table.rows(rows) for rows in parts)),
        sample=sample,
        encoder=encoder,
        fingerprint=table.fingerprint(),
        seen=table.text_digests(),
    )


STREAM = stream(TABLE)
TEXTLESS = stream(TABLE, None)


def test_these_learn_from_statistics() -> None:
    names = {name for name in ROUTERS.names() if ROUTERS.load(name).fits_from == "statistics"}
    assert names == set(FROM_STATISTICS)


@pytest.mark.parametrize("name", FROM_STATISTICS)
def test_blocks_make_the_router_that_the_table_makes(name: str) -> None:
    streamed = make_router(name)
    streamed.fit_stream(STREAM if streamed.uses_features else TEXTLESS)
    whole = make_router(name).fit(TABLE)
    one, other = streamed.estimate(TEST.texts), whole.estimate(TEST.texts)
    # Ridge chooses its penalty by another criterion; where queries are few, that shows.
    near = partial(pytest.approx, abs=0.15 if name == "ridge" else 1e-6)
    assert one.quality == near(other.quality)
    assert one.cost_usd == pytest.approx(other.cost_usd, rel=0.05)
    assert one.task_weights is not None
    assert one.task_weights == pytest.approx(other.task_weights, abs=0.05)
    assert streamed.fingerprint_ == whole.fingerprint_
    assert np.array_equal(streamed.seen_, whole.seen_)
    for policy in map(Policy.parse, ("performance", "balance", "budget:0.02")):
        same = streamed.choose(one, policy) == whole.choose(other, policy)
        assert same.mean() > (0.2 if name == "random" else 0.94)


def test_the_size_of_blocks_changes_nothing() -> None:
    one = make_router("ridge").fit_stream(STREAM).estimate(TEST.texts)
    other = make_router("ridge").fit_stream(stream(TABLE, size=400)).estimate(TEST.texts)
    assert one.quality == pytest.approx(other.quality, abs=1e-9)
    assert one.cost_usd == pytest.approx(other.cost_usd, rel=1e-9)


def test_statistics_are_of_everything_and_not_of_the_sample() -> None:
    few = TABLE.rows(np.arange(60))
    part = stream(TABLE, "hashing:64", sample=few)
    streamed = make_router("ridge", encoder="hashing:64").fit_stream(part)
    whole = make_router("ridge", encoder="hashing:64").fit(TABLE).estimate(TEST.texts).quality
    sampled = make_router("ridge", encoder="hashing:64").fit(few).estimate(TEST.texts).quality
    got = streamed.estimate(TEST.texts).quality
    assert np.abs(got - whole).mean() < 0.2 * np.abs(sampled - whole).mean()
    assert len(streamed.seen_) == len(TABLE)


def test_a_streamed_router_is_saved_and_loaded(tmp_path: Path) -> None:
    router = make_router("clusters").fit_stream(STREAM)
    save_router(router, tmp_path / "router")
    loaded = load_router(tmp_path / "router")
    assert loaded.decide(TEST.texts) == router.decide(TEST.texts)
    first = loaded.arms_[0].name
    assert loaded.set_prices({first: (1.0, 2.0)}).arms_[0].output_price == 2.0


def test_new_prices_of_one_router_leave_another_of_the_stream_alone() -> None:
    one, other = (make_router("ridge").fit_stream(STREAM) for _ in range(2))
    before = other.estimate(TEST.texts).cost_usd
    one.set_prices({one.arms_[0].name: (100.0, 200.0)})
    assert np.array_equal(other.estimate(TEST.texts).cost_usd, before)


def test_a_router_that_needs_its_queries_says_so() -> None:
    with pytest.raises(UnsupportedError, match="'knn' does not learn from statistics"):
        make_router("knn").fit_stream(STREAM)


def test_a_router_that_claims_statistics_without_learning_from_them_is_told() -> None:
    class Claims(type(make_router("knn"))):  # type: ignore[misc]
        fits_from = "statistics"

    with pytest.raises(UnsupportedError, match="'knn' claims to fit from statistics"):
        Claims().fit_stream(STREAM)


def test_an_unscored_arm_is_named() -> None:
    quality = TABLE.quality.copy()
    quality[:, TABLE.arm_names.index("arm-1")] = np.nan
    with pytest.raises(TableError, match="no outcome of 'arm-1' is scored"):
        make_router("task").fit_stream(stream(replace(TABLE, quality=quality)))


@pytest.mark.parametrize("priced", [True, False])
def test_costs_of_arms_with_and_without_prices(priced: bool) -> None:
    arms = tuple(
        replace(arm, input_price=arm.input_price if priced and i else None)
        for i, arm in enumerate(TABLE.arms)
    )
    table = replace(TABLE, arms=arms)
    streamed = make_router("task").fit_stream(stream(table)).estimate(TEST.texts).cost_usd
    whole = make_router("task").fit(table).estimate(TEST.texts).cost_usd
    assert streamed == pytest.approx(whole, rel=0.05)


def problem(rows: int, missing: float) -> tuple[FloatArray, FloatArray]:
    """Features, one constant, and targets; two of three columns are known on the same rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 12))
    x[:, 3] = 1.0
    y = x @ rng.normal(size=(12, 3)) + rng.normal(size=(rows, 3))
    y[rng.random(rows) < missing, 0] = np.nan
    y[rng.random(rows) < missing, 1:] = np.nan
    return x, y


@pytest.mark.parametrize("missing", [0.0, 0.2, 0.8])
def test_sums_give_the_ridge_regression_of_all_rows(missing: float) -> None:
    x, y = problem(300, missing)
    sums = RidgeSums(12, 3)
    for start in range(0, 300, 17):
        sums.add(x[start : start + 17], y[start : start + 17])
    for got, wanted in zip(sums.solve(alphas=(0.3,)), solve_ridge(x, y, (0.3,)), strict=True):
        assert got == pytest.approx(wanted, abs=1e-8)
    for got, wanted in zip(sums.solve(), solve_ridge(x, y), strict=True):
        assert got == pytest.approx(wanted, abs=0.05)


def test_a_target_that_nothing_is_known_of_gets_zeros() -> None:
    x, y = problem(50, 0.0)
    y[:, 2] = np.nan
    coef, intercept = RidgeSums(12, 3).add(x, y).solve(slice(1, 3))
    assert coef.shape == (12, 2)
    assert (coef[:, 1] == 0).all()
    assert intercept[1] == 0
    assert coef[:, 0] == pytest.approx(solve_ridge(x, y)[0][:, 1], abs=0.05)


def test_without_features_there_are_means() -> None:
    y = np.array([[1.0, np.nan], [3.0, 4.0]])
    coef, intercept = RidgeSums(0, 2).add(np.zeros((2, 0)), y).solve()
    assert coef.shape == (0, 2)
    assert intercept.tolist() == [2.0, 4.0]
