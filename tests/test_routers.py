"""Every router of the base install keeps the contract, and what each adds to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.errors import (
    InputError,
    NotFittedError,
    PolicyError,
    RouterFileError,
    TableError,
    UnknownNameError,
    UnsupportedError,
)
from fusionfactory.policy import SCENARIOS, Policy
from fusionfactory.routers import (
    BASE_ROUTERS,
    BASELINES,
    PAPER,
    ROUTERS,
    load_router,
    make_router,
    save_router,
)
from fusionfactory.routers.elo import bradley_terry
from fusionfactory.routers.forest import Forest
from fusionfactory.routers.linear import solve_ridge
from fusionfactory.testing import check_router, make_table
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.table import OutcomeTable


@pytest.mark.parametrize("spec", [*BASE_ROUTERS, *PAPER, *BASELINES])
def test_contract(spec: str) -> None:
    check_router(lambda: make_router(spec))


@pytest.mark.parametrize("spec", BASE_ROUTERS)
def test_learns_which_arm_is_good_at_what(spec: str) -> None:
    train, test = make_table(400), make_table(200, seed=5)
    chosen = [decision.arm for decision in make_router(spec).fit(train).decide(test.texts)]
    columns = [test.arm_names.index(arm) for arm in chosen]
    quality = test.quality[np.arange(len(test)), columns].mean()
    assert quality > test.quality.mean(axis=0).max() + 0.1


def test_specs_set_parameters() -> None:
    router = make_router("knn:k=7,recipe=paper", seed=3)
    assert router.params() == {"encoder": "text", "seed": 3, "k": 7, "recipe": "paper"}
    assert make_router("knn-paper").policy_bound


def test_unknown_router_names_the_known() -> None:
    with pytest.raises(UnknownNameError, match="unknown router 'kmm'; known: stack, trees"):
        make_router("kmm")


def test_unknown_parameter_names_the_known() -> None:
    with pytest.raises(UnknownNameError, match="no parameter 'q'; it has encoder, seed, k"):
        make_router("knn:q=3")


def test_a_text_is_not_a_list_of_texts() -> None:
    with pytest.raises(InputError, match="wrap it in a list"):
        make_router("ridge").fit(make_table()).estimate("one text")


def test_paper_recipe_needs_a_policy() -> None:
    with pytest.raises(PolicyError, match="takes its labels under a policy"):
        make_router("knn-paper").fit(make_table())


def test_an_arm_without_scores_is_named() -> None:
    table = make_table()
    table.quality[:, 1] = np.nan
    with pytest.raises(TableError, match="no outcome of 'arm-1' is scored"):
        make_router("ridge").fit(table)


def test_knn_adds_an_arm_without_refit() -> None:
    full = make_table(300)
    router = make_router("knn").fit(full.select_arms(["arm-0", "arm-1"]))
    router.add_arm(full.arms[2], full)
    refit = make_router("knn").fit(full)
    estimates, expected = router.estimate(full.texts), refit.estimate(full.texts)
    assert estimates.arms == expected.arms
    np.testing.assert_allclose(estimates.quality, expected.quality, atol=1e-3)
    np.testing.assert_allclose(estimates.cost_usd, expected.cost_usd, rtol=1e-6)


def test_knn_adds_an_arm_from_other_queries() -> None:
    router = make_router("knn").fit(make_table(200).select_arms(["arm-0", "arm-1"]))
    router.add_arm(Arm("arm-2"), make_table(200, seed=9))
    fresh = make_table(100, seed=4)
    mean = router.estimate(fresh.texts).quality[:, 2]
    assert mean[fresh.tasks == "facts"].mean() > mean[fresh.tasks == "sums"].mean() + 0.2


def test_other_routers_say_they_cannot_add() -> None:
    with pytest.raises(UnsupportedError, match="cannot add 'new' without a refit"):
        make_router("ridge").fit(make_table()).add_arm(Arm("new"))


def test_a_price_changes_without_refit() -> None:
    table = make_table()
    router = make_router("ridge").fit(table)
    before = router.estimate(table.texts).cost_usd
    router.set_prices({"arm-1": (0.4, 0.4)})
    after = router.estimate(table.texts).cost_usd
    np.testing.assert_allclose(after[:, 1], 2 * before[:, 1])
    np.testing.assert_allclose(after[:, [0, 2]], before[:, [0, 2]])


def test_a_price_of_an_unknown_arm_is_refused() -> None:
    with pytest.raises(TableError, match="unknown arm 'nobody'"):
        make_router("ridge").fit(make_table()).set_prices({"nobody": (1, 1)})


def test_budget_binds() -> None:
    table = make_table(300)
    router = make_router("ridge").fit(table)
    free = np.mean([d.expected_cost_usd for d in router.decide(table.texts)])
    budget = Policy.budget(float(free) * 1000 * 0.7)
    spent = np.mean([d.expected_cost_usd for d in router.decide(table.texts, budget)])
    assert spent <= free * 0.7 * 1.02
    with pytest.raises(PolicyError, match="the cheapest choice costs"):
        router.decide(table.texts, Policy.budget(1e-9))


def test_ceiling_excludes_dear_arms() -> None:
    table = make_table()
    router = make_router("ridge").fit(table)
    ceiling = float(np.median(router.estimate(table.texts).cost_usd[:, 1]))
    decisions = router.decide(table.texts, SCENARIOS["performance"].with_ceiling(ceiling))
    cheapest = router.estimate(table.texts).cost_usd.min(axis=1)
    for decision, least in zip(decisions, cheapest, strict=True):
        assert decision.expected_cost_usd <= max(ceiling, least) + 1e-15


def test_decisions_report_what_they_expect() -> None:
    table = make_table()
    router = make_router("ridge").fit(table)
    decision = router.decide(table.texts[:1])[0]
    estimates = router.estimate(table.texts[:1])
    column = estimates.arms.index(decision.arm)
    assert decision.expected_quality == pytest.approx(estimates.quality[0, column])
    assert decision.propensity == 1.0
    assert decision.router.startswith("ridge@")
    assert make_router("random").fit(table).decide(["x"])[0].propensity == pytest.approx(1 / 3)


# Saved routers


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_router(make_router("ridge").fit(make_table()), tmp_path / "router")
    return tmp_path / "router"


def test_save_before_fit(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="RidgeRouter is not fitted"):
        save_router(make_router("ridge"), tmp_path / "router")
    assert not (tmp_path / "router").exists()


def test_save_spares_foreign_directories(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RouterFileError, match="something other than a router"):
        save_router(make_router("ridge").fit(make_table()), tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_newer_schema_is_refused(saved: Path) -> None:
    manifest = json.loads((saved / "router.json").read_text())
    (saved / "router.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    with pytest.raises(RouterFileError, match=r"schema version 99.*upgrade fusionfactory"):
        load_router(saved)


def test_tampered_manifest_is_refused(saved: Path) -> None:
    text = (saved / "router.json").read_text().replace("arm-1", "arm-9")
    (saved / "router.json").write_text(text)
    with pytest.raises(RouterFileError, match="was changed after it was saved"):
        load_router(saved)


def test_tampered_tensors_are_refused(saved: Path) -> None:
    body = bytearray((saved / "router.safetensors").read_bytes())
    body[-1] ^= 1
    (saved / "router.safetensors").write_bytes(body)
    with pytest.raises(RouterFileError, match="changed or cut short"):
        load_router(saved)


def test_truncated_and_absent_files_are_refused(saved: Path, tmp_path: Path) -> None:
    (saved / "router.json").write_text("{")
    with pytest.raises(RouterFileError, match="cannot be read"):
        load_router(saved)
    with pytest.raises(RouterFileError, match="no saved router here"):
        load_router(tmp_path / "nowhere")


def test_unknown_class_is_refused(saved: Path) -> None:
    from fusionfactory.sealed import digest

    manifest = json.loads((saved / "router.json").read_text())
    manifest["state"]["name"] = "os.system"
    manifest["manifest_sha256"] = digest(manifest)
    (saved / "router.json").write_text(json.dumps(manifest))
    with pytest.raises(UnknownNameError, match=r"unknown router 'os\.system'"):
        load_router(saved)


# Parts


def test_registry_lists_every_router_once() -> None:
    others = {"graph", "bert", "grown", "steady", "pairs"}
    assert {*BASE_ROUTERS, *BASELINES} | others == set(ROUTERS.names()) - {"shortest"}


def test_ridge_recovers_a_line() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4))
    y = x @ np.array([[1.0, 0.0], [0.0, 2.0], [0.5, 0.0], [0.0, 0.0]]) + np.array([3.0, -1.0])
    y[rng.random(y.shape) < 0.2] = np.nan
    coef, intercept = solve_ridge(x, y)
    np.testing.assert_allclose(intercept, np.array([3, -1]), atol=0.05)
    np.testing.assert_allclose(coef[:3], np.array([[1, 0], [0, 2], [0.5, 0]]), atol=0.05)


def test_forest_equals_scikit_learn() -> None:
    from sklearn.ensemble import ExtraTreesRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6)).astype(np.float32)
    y = np.stack([x[:, 0] > 0, x[:, 1] * x[:, 2]], axis=1).astype(float)
    forest = Forest(trees=20, min_leaf=3, max_features=0.5, seed=1).fit(x, y)
    peer = ExtraTreesRegressor(20, min_samples_leaf=3, max_features=0.5, random_state=1).fit(x, y)
    np.testing.assert_allclose(forest.predict(x[:50]), peer.predict(x[:50]), atol=1e-5)


def test_forest_leaves_ignore_missing_cells() -> None:
    x = np.repeat(np.arange(4.0), 50)[:, None].astype(np.float32)
    y = np.stack([x[:, 0] > 1, x[:, 0] > 1], axis=1).astype(float)
    y[::2, 1] = np.nan
    predicted = Forest(trees=30, min_leaf=5, max_features=1.0).fit(x, y).predict(x[[0, 199]])
    np.testing.assert_allclose(predicted, [[0, 0], [1, 1]], atol=0.1)


def test_bradley_terry_orders_by_wins() -> None:
    strength = bradley_terry(np.array([[0, 8, 9], [2, 0, 7], [1, 3, 0]], dtype=float))
    assert strength[0] > strength[1] > strength[2]
    assert strength.sum() == pytest.approx(0)


def test_ties_go_to_the_cheaper_arm_not_the_first_column() -> None:
    table = make_table(60)
    table.quality[:] = 1.0
    reordered: OutcomeTable = table.select_arms(["arm-2", "arm-1", "arm-0"])
    chosen = {d.arm for d in make_router("knn").fit(reordered).decide(table.texts)}
    assert chosen == {"arm-0"}


def test_saving_spares_files_beside_a_router(saved: Path) -> None:
    (saved / "thesis.tex").write_text("years of work")
    with pytest.raises(RouterFileError, match="something other than a router"):
        save_router(make_router("ridge").fit(make_table()), saved)
    assert (saved / "thesis.tex").exists()


def test_a_router_is_replaced_in_place(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(saved)
    save_router(make_router("knn").fit(make_table()), ".")
    assert load_router(saved).name == "knn"


def test_a_router_may_not_use_the_network_unasked(tmp_path: Path) -> None:
    from fusionfactory.encoders import make_encoder

    router = make_router("ridge").fit(make_table())
    router.encoder_ = make_encoder("endpoint:some-model@http://127.0.0.1:9/v1")
    save_router(router, tmp_path / "router")
    with pytest.raises(RouterFileError, match=r"sends queries to 'http://127.0.0.1:9/v1'"):
        load_router(tmp_path / "router")
    assert load_router(tmp_path / "router", network=True).encoder_.name == "endpoint"


def test_a_changed_price_moves_the_budget() -> None:
    table = make_table(300)
    router = make_router("ridge").fit(table)
    budget = Policy.budget(float(router.estimate(table.texts).cost_usd.mean()) * 1000)
    router.set_prices({arm.name: (20.0, 20.0) for arm in router.arms_})
    with pytest.raises(PolicyError, match="the cheapest choice costs"):
        router.decide(table.texts, budget)


def test_measured_costs_count_more_than_list_prices() -> None:
    table = make_table(200)
    table.cost_usd[:, 0] *= 10
    table.cost_usd[:, 1] /= 10
    expected = make_router("ridge").fit(table).estimate(table.texts).cost_usd.mean(axis=0)
    np.testing.assert_allclose(expected, table.arm_cost_usd(), rtol=0.02)


def test_paper_recipes_refuse_what_they_cannot_honour() -> None:
    for policy in (Policy.budget(1.0), Policy.price(0.1), SCENARIOS["cost"].with_ceiling(1.0)):
        with pytest.raises(PolicyError, match="know scenarios only"):
            make_router("knn-paper").fit(make_table(), policy)


def test_two_lucky_answers_make_no_best_arm() -> None:
    table = make_table(300)
    hard = np.nonzero(table.quality[:, :2].sum(axis=1) == 0)[0][:2]
    table.quality[:, 2] = np.nan
    table.quality[hard, 2] = 1.0
    assert table.best_single() != 2
    assert np.nanmax(table.arm_quality()) <= 1.0


def test_knn_judges_a_new_arm_against_its_rivals_on_the_same_queries() -> None:
    table = make_table(300)
    router = make_router("knn").fit(table.select_arms(["arm-0", "arm-1"]))
    rivals = router.estimate(table.texts).quality.mean(axis=1)
    easy = table.rows(np.argsort(-rivals)[:60])
    easy.quality[:, 2] = np.clip(router.estimate(easy.texts).quality.mean(axis=1) - 0.2, 0, 1)
    router.add_arm(table.arms[2], easy)
    new = router.estimate(make_table(200, seed=6).texts).quality
    assert new[:, 2].mean() < new[:, :2].mean()


def test_stack_needs_two_folds() -> None:
    with pytest.raises(InputError, match="must be at least 2, got 1"):
        make_router("stack:folds=1").fit(make_table())


def test_random_draws_go_on() -> None:
    router = make_router("random").fit(make_table())
    assert len({router.decide(["x"])[0].arm for _ in range(50)}) == 3
