"""Onboarding: a router learns a new arm from a few labels, or from its description."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import ConfigError, NotFittedError, TableError, UnsupportedError
from fusionfactory.onboarding import GrownRouter, choose_queries, likeness
from fusionfactory.policy import SCENARIOS, Policy
from fusionfactory.routers import Router, load_router, make_router, save_router
from fusionfactory.testing import make_table
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from pathlib import Path

PERFORMANCE = SCENARIOS["performance"]
TABLE = make_table(500, 3, seed=5)
TRAIN, TEST = TABLE.rows(np.arange(350)), TABLE.rows(np.arange(350, 500))
OLD, NEW = TABLE.arm_names[:2], TABLE.arms[2]
FEW = TRAIN.rows(np.arange(100))


@pytest.fixture(scope="module", params=["knn", "trees:trees=30", "stack:trees=10"])
def base(request: pytest.FixtureRequest) -> Router:
    return make_router(request.param).fit(TRAIN.select_arms(OLD))


def _quality(router: Router) -> float:
    picks = router.choose(router.estimate(TEST.texts), PERFORMANCE)
    table = TEST.select_arms([arm.name for arm in router.arms_])
    return float(table.quality[np.arange(len(table)), picks].mean())


def test_a_hundred_labels_reach_most_of_a_full_fit(base: Router) -> None:
    before, full = _quality(base), _quality(base.clone().fit(TRAIN))
    grown = GrownRouter.of(base).add_arm(NEW, FEW)
    assert _quality(grown) - before > 0.6 * (full - before) > 0


def test_the_given_router_stays_as_it_is(base: Router) -> None:
    before = base.estimate(TEST.texts)
    grown = GrownRouter.of(base).add_arm(NEW, FEW)
    after, seen = base.estimate(TEST.texts), grown.estimate(TEST.texts)
    assert base.arms_ == TRAIN.arms[:2]
    for name in ("quality", "cost_usd"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
        assert np.allclose(getattr(seen, name)[:, :2], getattr(before, name))
    assert seen.arms == TABLE.arm_names


def test_it_knows_what_the_new_arm_costs(base: Router) -> None:
    grown = GrownRouter.of(base).add_arm(NEW, FEW)
    expected = grown.estimate(TEST.texts).cost_usd[:, 2].mean()
    assert expected == pytest.approx(float(TEST.cost_usd[:, 2].mean()), rel=0.2)
    picks = grown.choose(grown.estimate(TEST.texts), Policy.price(1e-9))
    assert set(picks.tolist()) == {int(np.argmin(TABLE.arm_cost_usd()))}


def test_it_is_saved_and_loaded(base: Router, tmp_path: Path) -> None:
    grown = GrownRouter.of(base).add_arm(NEW, FEW).add_arm(Arm("more"))
    save_router(grown, tmp_path / "router")
    loaded = load_router(tmp_path / "router")
    mine, theirs = grown.estimate(TEST.texts), loaded.estimate(TEST.texts)
    assert mine.arms == theirs.arms == (*TABLE.arm_names, "more")
    assert np.allclose(mine.quality, theirs.quality)
    assert np.allclose(mine.cost_usd, theirs.cost_usd)
    assert [d.arm for d in loaded.decide(TEST.texts)] == [d.arm for d in grown.decide(TEST.texts)]


def test_scores_of_the_new_arm_alone_will_do(base: Router) -> None:
    alone = FEW.select_arms([NEW.name])
    assert _quality(GrownRouter.of(base).add_arm(NEW, alone)) > _quality(base)


def test_a_useless_arm_is_hardly_chosen(base: Router) -> None:
    quality = FEW.quality.copy()
    quality[:, 2] = 0.0
    grown = GrownRouter.of(base).add_arm(NEW, replace(FEW, quality=quality))
    picks = grown.choose(grown.estimate(TEST.texts), PERFORMANCE)
    assert (picks == 2).mean() < 0.02


def test_a_description_alone_makes_an_arm_like_its_kin(base: Router) -> None:
    kin = Arm(f"{OLD[1]}-v2", input_price=2.0, output_price=2.0)
    grown = GrownRouter.of(base).add_arm(kin)
    estimates = grown.estimate(TEST.texts)
    away = np.abs(estimates.quality[:, :2] - estimates.quality[:, [2]]).mean(axis=0)
    weights = likeness(kin, base.arms_)
    assert int(np.argmin(away)) == int(np.argmax(weights))
    assert (estimates.cost_usd[:, 2] > 0).all()


def test_prices_of_known_and_of_labelled_arms_can_change(base: Router) -> None:
    grown = GrownRouter.of(base).add_arm(NEW, FEW).add_arm(Arm("guess"))
    before = grown.estimate(TEST.texts).cost_usd
    grown.set_prices(dict.fromkeys(TABLE.arm_names, (50.0, 50.0)))
    after = grown.estimate(TEST.texts).cost_usd
    assert (after[:, :3] > before[:, :3]).all()
    with pytest.raises(UnsupportedError, match="the cost of arm 'guess' is guessed"):
        grown.set_prices({"guess": (1.0, 1.0)})


def test_likeness_reads_descriptions_and_prices() -> None:
    known = (
        Arm("a", input_price=1, output_price=1, description="a coding model trained on programs"),
        Arm("b", input_price=1, output_price=1, description="a small model for casual chat"),
    )
    coder = Arm("c", description="model for coding, trained on many programs")
    assert likeness(coder, known).argmax() == 0
    assert likeness(coder, known).sum() == pytest.approx(1)
    dear = tuple(
        replace(arm, output_price=price) for arm, price in zip(known, (1, 40), strict=True)
    )
    plain = Arm("c", input_price=1, output_price=30)
    assert likeness(plain, dear).argmax() == 1


@pytest.mark.parametrize("choice", ["random", "diverse"])
def test_chosen_queries_are_distinct_and_repeat(base: Router, choice: str) -> None:
    rows = choose_queries(base, TRAIN, 40, choice=choice, seed=1)  # type: ignore[arg-type]
    again = choose_queries(base, TRAIN, 40, choice=choice, seed=1)  # type: ignore[arg-type]
    assert rows.tolist() == again.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == 40
    assert len(choose_queries(base, TRAIN, 9999, choice=choice)) == len(TRAIN)  # type: ignore[arg-type]


def test_diverse_queries_are_not_the_same_question_twice(base: Router) -> None:
    thrice = TRAIN.rows(np.arange(60)).texts * 3
    table = replace(
        TRAIN.rows(np.arange(180)),
        queries=TRAIN.queries[:180].with_columns(pl.Series("query", thrice)),
    )
    far = choose_queries(base, table, 50, choice="diverse")
    assert len({thrice[row] for row in far}) == 50
    assert len({thrice[row] for row in choose_queries(base, table, 50)}) < 50


def test_it_says_what_is_wrong(base: Router) -> None:
    grown = GrownRouter.of(base)
    with pytest.raises(TableError, match="already knows"):
        grown.add_arm(TABLE.arms[0], FEW)
    blank = replace(FEW, quality=np.full_like(FEW.quality, np.nan))
    with pytest.raises(TableError, match=r"no outcome of .* is scored"):
        grown.add_arm(NEW, blank)
    with pytest.raises(ConfigError, match="must be at least 1, got 0"):
        choose_queries(base, TRAIN, 0)
    with pytest.raises(NotFittedError):
        GrownRouter().add_arm(NEW, FEW)
    with pytest.raises(UnsupportedError, match=r"is made by GrownRouter\.of"):
        GrownRouter().fit(TRAIN)
    bound = make_router("knn-paper").fit(TRAIN, PERFORMANCE)
    with pytest.raises(UnsupportedError, match="learned one policy's labels"):
        GrownRouter.of(bound)


def test_published_scores_set_the_level_of_a_task(base: Router) -> None:
    tasks = sorted(set(TABLE.tasks.tolist()))
    low_here = {task: 0.9 - 0.8 * (task == tasks[0]) for task in tasks}
    grown = GrownRouter.of(base).add_arm(Arm("told"), published=low_here)
    quality = grown.estimate(TEST.texts).quality[:, 2]
    here = TEST.tasks == tasks[0]
    assert quality[~here].mean() - quality[here].mean() > 0.15
    everywhere = GrownRouter.of(base).add_arm(Arm("told"), published={"all": 0.9})
    assert everywhere.estimate(TRAIN.texts).quality[:, 2].mean() == pytest.approx(0.9, abs=0.08)


def test_published_scores_and_labels_say_more_than_labels(base: Router) -> None:
    few = TRAIN.rows(np.arange(12))
    published = {"all": float(TRAIN.quality[:, 2].mean())}
    off = []
    for told in (None, published):
        grown = GrownRouter.of(base).add_arm(NEW, few, published=told)
        level = float(grown.estimate(TRAIN.texts).quality[:, 2].mean())
        off.append(abs(level - published["all"]))
    assert off[1] < off[0]


def test_luck_of_the_known_arms_is_taken_out_of_the_labels(base: Router) -> None:
    lucky = np.argsort(-TRAIN.quality[:, :2].mean(axis=1), kind="stable")[:60]
    with_known = GrownRouter.of(base).add_arm(NEW, TRAIN.rows(lucky))
    alone = GrownRouter.of(base).add_arm(NEW, TRAIN.rows(lucky).select_arms([NEW.name]))
    levels = [g.estimate(TEST.texts).quality[:, 2].mean() for g in (with_known, alone)]
    assert levels[0] != pytest.approx(levels[1], abs=1e-4)
    assert with_known.newcomers_[0].doubt_ > 0


def test_doubt_shrinks_with_labels(base: Router) -> None:
    doubts = [
        GrownRouter.of(base).add_arm(NEW, TRAIN.rows(np.arange(count))).newcomers_[0].doubt_
        for count in (10, 40, 160)
    ]
    assert doubts == sorted(doubts, reverse=True)


def test_a_router_without_features_takes_an_arm(tmp_path: Path) -> None:
    plain = make_router("best_single").fit(TRAIN.select_arms(OLD))
    grown = GrownRouter.of(plain).add_arm(NEW, FEW)
    save_router(grown, tmp_path / "router")
    expected = grown.estimate(TEST.texts).quality
    assert np.allclose(load_router(tmp_path / "router").estimate(TEST.texts).quality, expected)
    assert np.ptp(expected[:, 2]) < 1e-6
