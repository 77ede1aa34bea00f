"""The protocol: what a leaderboard holds, what is chosen where, and what may not leak."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fusionfactory.contest import Contest, baseline_entries
from fusionfactory.errors import PolicyError, TableError, UnknownNameError
from fusionfactory.evaluation import Evaluation, clean, evaluate
from fusionfactory.holdout import measure, unseen
from fusionfactory.intervals import Bootstrap
from fusionfactory.leaderboard import BASELINE_ROWS, leaderboard
from fusionfactory.policy import SCENARIOS, Policy
from fusionfactory.routers import make_router
from fusionfactory.table import OutcomeTable
from fusionfactory.testing import make_table

NAN = math.nan
ROUTERS = ("ridge", "knn:k=20", "knn-paper")
PROMISED = {
    "router", "quality", "cost_usd", "reward", "gap_closed", "ci95", "entropy", "cost_save",
    "cost_save_1pt", "perf_gain", "aiq", "top_share", "fit_s", "route_us_per_query",
}  # fmt: skip
TIMINGS = {"fit_s", "route_us_per_query", "decide_p50_ms", "encode_us_per_query"}


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    return make_table(300)


@pytest.fixture(scope="module")
def found(table: OutcomeTable) -> Evaluation:
    return evaluate(table, ROUTERS, seeds=2, draws=200)


def rows(found: Evaluation, scenario: str = "performance") -> dict[str, dict[str, Any]]:
    """Rows by the router's name."""
    return {row["router"]: row for row in found.scenarios[scenario]}


def quick(table: OutcomeTable, *routers: str, **options: Any) -> Evaluation:  # noqa: ANN401
    """An evaluation under one scenario with few draws."""
    defaults: dict[str, Any] = {"scenarios": ["performance"], "draws": 100}
    return evaluate(table, routers, **defaults | options)


# What a leaderboard holds


def test_rows_hold_what_the_design_promises(found: Evaluation) -> None:
    assert list(found.scenarios) == ["performance", "balance", "cost", "judge"]
    assert found.skipped == {}
    for board in found.scenarios.values():
        for row in board:
            assert row.keys() >= PROMISED
            low, high = row["ci95"]
            assert low <= row["gain"] <= high


def test_routers_come_first_by_reward_then_all_baselines(found: Evaluation) -> None:
    for board in found.scenarios.values():
        names = [row["router"] for row in board]
        assert set(names[:3]) == set(ROUTERS)
        assert tuple(names[3:]) == BASELINE_ROWS
        rewards = [row["reward"] for row in board[:3]]
        assert rewards == sorted(rewards, reverse=True)


def test_the_best_single_row_is_the_measure_of_all(found: Evaluation) -> None:
    for scenario in found.scenarios:
        row = rows(found, scenario)["best_single"]
        assert (row["gain"], row["gain_reward"], row["gap_closed"]) == (0, 0, 0)
        assert row["ci95"] == row["ci95_reward"] == [0, 0]
        assert (row["cost_save"], row["perf_gain"], row["gain_at_best"]) == (0, 0, 0)
        assert (row["entropy"], row["top_share"]) == (0, 1)
        assert row["verdict"] == "the single arm that was best on train"


def test_gains_are_differences_to_the_best_single_row(found: Evaluation) -> None:
    for scenario in found.scenarios:
        board = rows(found, scenario)
        for row in board.values():
            assert row["gain"] == pytest.approx(row["quality"] - board["best_single"]["quality"])
            assert row["gain_reward"] == pytest.approx(
                row["reward"] - board["best_single"]["reward"]
            )


def test_nothing_beats_the_oracle(found: Evaluation) -> None:
    for scenario in found.scenarios:
        board = rows(found, scenario)
        assert board["oracle"]["reward"] == max(row["reward"] for row in board.values())
        assert board["oracle"]["gap_closed"] == pytest.approx(1)
        assert board["oracle"]["perf_gain"] == max(row["perf_gain"] for row in board.values())
    quality = {row["quality"] for row in found.scenarios["performance"]}
    assert rows(found)["oracle"]["quality"] == max(quality)


def test_verdicts_say_what_the_interval_says(found: Evaluation) -> None:
    for board in found.scenarios.values():
        for row in (row for row in board if row["router"] != "best_single"):
            for suffix, what in (("", "quality"), ("_reward", "reward")):
                low, high = row[f"ci95{suffix}"]
                word = "significantly above" if low > 0 else "significantly below"
                word = "not significantly different from" if low <= 0 <= high else word
                assert row[f"verdict{suffix}"] == f"{what} {word} the best single arm's"
    assert rows(found)["ridge"]["verdict"] == "quality significantly above the best single arm's"


def test_facts_describe_table_and_protocol(found: Evaluation, table: OutcomeTable) -> None:
    facts = found.table
    assert facts["fingerprint"] == table.fingerprint()
    assert (facts["queries"], facts["arms"], facts["tasks"], facts["seeds"]) == (300, 3, 3, 2)
    assert facts["train_queries"] + facts["test_queries"] == 300
    assert facts["queries_in_train_and_test"] == 0
    assert facts["cost_basis"] == "measured"
    assert facts["arms_left_out"] == {}
    assert facts["observed_share"] == 1


def test_savings_follow_their_definition() -> None:
    table = make_table(100)
    table.quality[:] = [1.0, 0.0, 1.0]
    table.cost_usd[:] = [2.0, 1.0, 8.0]
    board = rows(quick(table, "elo"))
    # arm-0 and arm-2 are equally good; the cheaper one is the best single.
    assert board["best_single"]["cost_usd"] == 2.0
    assert board["dearest"]["cost_save"] == board["dearest"]["cost_save_1pt"] == -3.0
    assert board["cheapest"]["cost_usd"] == 1.0
    assert board["cheapest"]["cost_save"] == 0.0
    assert board["oracle"]["cost_save"] == 0.0


def test_means_over_seeds_come_with_each_seed(found: Evaluation, table: OutcomeTable) -> None:
    first = evaluate(table, ["ridge"], scenarios=["performance"], seeds=1, draws=50)
    row = rows(found)["ridge"]
    assert row["quality"] == pytest.approx(np.mean(row["quality_seeds"]))
    assert row["quality_sd"] == pytest.approx(np.std(row["quality_seeds"]))
    assert row["quality_seeds"][0] == rows(first)["ridge"]["quality"]


def test_progress_counts_every_fit(table: OutcomeTable) -> None:
    seen: list[tuple[int, int, str]] = []
    evaluate(
        table, ["elo", "task"], scenarios=["performance", "judge"], seeds=2, draws=50,
        progress=lambda done, total, label: seen.append((done, total, label)),
    )  # fmt: skip
    assert [done for done, _, _ in seen] == list(range(8))
    assert {total for _, total, _ in seen} == {8}
    assert seen[-1][2] == "seed 1: task"


# What is chosen where


def test_best_arms_are_chosen_on_train() -> None:
    table = make_table(100)
    held = np.isin(table.queries["query_id"], table.split(seed=0).test.queries["query_id"])
    table.quality[:] = np.where(held[:, None], [0.0, 1.0, 0.5], [1.0, 0.0, 0.5])
    board = rows(quick(table, "elo"))
    for name in ("best_single", "task_best", "zero", "elo"):
        assert board[name]["quality"] == 0.0, name
    assert board["oracle"]["quality"] == 1.0


def test_baselines_are_the_arms_they_name(table: OutcomeTable) -> None:
    split = table.split(seed=0)
    board = rows(quick(table, "elo"))
    mean = split.test.quality.mean(axis=0)
    best = int(split.train.quality.mean(axis=0).argmax())
    assert board["cheapest"]["quality"] == pytest.approx(mean[0])
    assert board["dearest"]["quality"] == pytest.approx(mean[2])
    assert board["best_single"]["quality"] == pytest.approx(mean[best])
    by_task = [
        split.test.quality[split.test.tasks == task][
            :, split.train.quality[split.train.tasks == task].mean(axis=0).argmax()
        ]
        for task in set(split.test.tasks.tolist())
    ]
    assert board["task_best"]["quality"] == pytest.approx(np.concatenate(by_task).mean())
    assert board["oracle"]["quality"] == pytest.approx(split.test.quality.max(axis=1).mean())


def test_a_saved_router_is_measured_as_in_an_evaluation(table: OutcomeTable) -> None:
    split = table.split(seed=0)
    board = rows(quick(table, "ridge", scenarios=["balance"]), "balance")
    measured = measure(make_router("ridge").fit(split.train), split.test, SCENARIOS["balance"])
    for key in ("quality", "cost_usd", "reward", "gap_closed", "cost_save", "apgr", "gain", "aiq"):
        assert measured[key] == pytest.approx(board["ridge"][key]), key


def test_queries_seen_in_training_are_found_again(table: OutcomeTable) -> None:
    router = make_router("elo").fit(table.rows(np.arange(200)))
    fresh, seen = unseen(router, table)
    assert seen == 200
    assert fresh.texts == table.texts[200:]
    assert unseen(router, fresh) == (fresh, 0)
    with pytest.raises(TableError, match="fitted on every query here"):
        unseen(router, table.rows(np.arange(50)))


# Missing cells and judges


def test_missing_cells_stay_missing() -> None:
    table = make_table(200, missing=0.05)
    table.quality[table.observed()] = 1.0
    found = quick(table, "ridge", "elo")
    for row in found.scenarios["performance"]:
        assert row["quality"] == 1.0
        assert row["gain"] == 0.0
    assert rows(found)["random"]["scored_share"] < 1
    assert found.table["observed_share"] == pytest.approx(table.observed().mean())


def test_arms_that_are_seldom_scored_are_left_out_and_named() -> None:
    table = make_table(100)
    table.quality[:50, 1] = NAN
    found = quick(table, "elo")
    assert found.table["arms_left_out"] == {"arm-1": 0.5}
    assert found.table["arms"] == 2
    assert [arm["name"] for arm in found.details["arms"]] == ["arm-0", "arm-2"]
    kept = quick(table, "elo", min_coverage=0.5)
    assert kept.table["arms_left_out"] == {}
    assert kept.table["coverage"]["arm-1"] == 0.5


def test_judge_means_the_judges_scores() -> None:
    table = make_table(100)
    table.quality[:] = [0.0, 1.0, 0.0]
    table.judge[:] = [0.9, 0.1, 0.2]
    found = evaluate(table, ["elo"], scenarios=["judge", "performance"], draws=50)
    assert list(found.scenarios) == ["judge", "performance"]
    for name in ("best_single", "elo", "oracle"):
        assert rows(found, "judge")[name]["quality"] == pytest.approx(0.9)
        assert rows(found)[name]["quality"] == 1.0


def test_without_a_judge_its_scenario_is_skipped_with_the_reason() -> None:
    table = make_table(60)
    table.judge[:] = NAN
    found = evaluate(table, ["elo"], scenarios=["performance", "judge"], draws=50)
    assert list(found.scenarios) == ["performance"]
    assert found.skipped == {"judge": "the table has no judge scores"}


# Costs


def _without_costs(table: OutcomeTable, *, prices: bool) -> OutcomeTable:
    blank = np.full(table.quality.shape, NAN)
    arms = table.arms if prices else tuple(replace(a, input_price=None) for a in table.arms)
    return replace(
        table, arms=arms, cost_usd=blank, input_tokens=blank, output_tokens=blank,
        cost_basis="missing",
    )  # fmt: skip


def test_nominal_costs_are_flagged() -> None:
    table = _without_costs(make_table(90), prices=True)
    found = quick(table, "elo", scenarios=["performance", "cost"])
    assert found.table["cost_basis"] == "nominal"
    assert found.table["nominal_output_tokens"] == 256
    # arm-0 costs .1 USD per million tokens: (characters / 4 + 256) * 1e-7.
    texts = table.split(seed=0).test.texts
    expected = np.mean([(len(text) / 4 + 256) * 1e-7 for text in texts])
    assert rows(found)["cheapest"]["cost_usd"] == pytest.approx(expected)


def test_without_prices_cost_is_unknown_and_its_scenarios_are_skipped() -> None:
    table = _without_costs(make_table(90), prices=False)
    found = quick(table, "ridge", scenarios=["performance", "balance", "price:0.1", "budget:1"])
    assert list(found.scenarios) == ["performance"]
    reason = "the table has neither costs nor prices"
    assert found.skipped == dict.fromkeys(("balance", "price:0.1", "budget:1"), reason)
    assert found.table["cost_basis"] == "missing"
    for row in found.to_json()["scenarios"]["performance"]:
        assert row["cost_usd"] is None
        assert row["cost_save"] == 0.0


def test_an_arm_of_unknown_cost_is_no_obstacle() -> None:
    table = make_table(120)
    for cells in (table.cost_usd, table.input_tokens, table.output_tokens):
        cells[:, 2] = NAN
    found = evaluate(table, ["ridge", "stack", "knn-paper"], draws=50)
    board = rows(found, "balance")
    assert board["ridge"]["quality"] > 0
    assert board["dearest"]["cost_usd"] > board["cheapest"]["cost_usd"]
    json.dumps(found.to_json(), allow_nan=False)


def test_a_budget_is_kept_to(table: OutcomeTable) -> None:
    board = rows(quick(table, "ridge", scenarios=["budget:0.02"]), "budget:0.02")
    assert board["ridge"]["cost_usd"] <= 0.02 / 1000 * 1.1
    assert board["ridge"]["quality"] > board["cheapest"]["quality"]


def test_who_breaks_a_budget_comes_last(table: OutcomeTable) -> None:
    policy, contest = Policy.parse("budget:0.02"), Contest.of(table, 0, 0.3)
    contest.entries.update(baseline_entries(contest, [policy]))
    for name, like in (("lavish", "best_single"), ("frugal", "cheapest")):
        contest.entries[name] = replace(contest.entries[like], name=name)
    board = leaderboard([contest], policy, Bootstrap(table.groups(), 50))
    frugal, lavish = board[:2]
    assert (frugal["router"], lavish["router"]) == ("frugal", "lavish")
    assert lavish["reward"] > frugal["reward"]
    assert lavish["cost_usd"] > 0.02 / 1000 * 1.1


def test_a_price_counts_cost_in_the_reward(table: OutcomeTable) -> None:
    # One point is worth 1e-6 USD, so 1e-4 USD are worth one unit of quality.
    board = rows(quick(table, "ridge", scenarios=["price:1e-06"]), "price:1e-06")
    for row in board.values():
        assert row["reward"] == pytest.approx(row["quality"] - row["cost_usd"] / 1e-4)


def test_policies_with_ceilings_are_evaluated(table: OutcomeTable) -> None:
    name = "performance,max:1e-05"
    assert Policy.parse(name).name == name
    board = rows(quick(table, "ridge", scenarios=[name]), name)
    assert board["ridge"]["cost_usd"] < board["best_single"]["cost_usd"]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_arms_that_are_all_alike(value: float) -> None:
    table = make_table(60)
    table.quality[:] = value
    found = quick(table, "ridge")
    board = rows(found)
    assert {row["quality"] for row in board.values()} == {value}
    assert board["ridge"]["ci95"] == [0, 0]
    assert "not significantly different" in board["ridge"]["verdict"]
    assert found.to_json()["scenarios"]["performance"][0]["gap_closed"] is None


# What may not leak


def test_nothing_is_learned_from_shuffled_labels() -> None:
    table = make_table(600)
    assert rows(quick(table, "ridge"))["ridge"]["ci95"][0] > 0
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(table))
        shuffled = replace(table, quality=table.quality[order])
        for row in quick(shuffled, "ridge", "knn", "elo", "stack").scenarios["performance"][:4]:
            assert row["ci95"][0] <= 0, row


def test_near_duplicates_stay_on_one_side() -> None:
    table = make_table(120)
    copies = [f"  {text.upper()}!?" if i % 2 else text for i, text in enumerate(table.texts)]
    copies[60:] = [text.title() for text in copies[:60]]
    table = replace(table, queries=table.queries.with_columns(pl.Series("query", copies)))
    groups = table.groups()
    assert len(set(groups.tolist())) == 60
    for seed in range(5):
        contest = Contest.of(table, seed, 0.3)
        tested = np.zeros(120, dtype=bool)
        tested[contest.test_rows] = True
        assert not set(groups[tested].tolist()) & set(groups[~tested].tolist())
        np.testing.assert_array_equal(contest.test.quality, table.quality[contest.test_rows])
    assert quick(table, "elo").table["near_duplicate_queries"] == 60


# Reproducible, and valid JSON


def _without_timings(value: Any) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, dict):
        return {key: _without_timings(v) for key, v in value.items() if key not in TIMINGS}
    return [_without_timings(v) for v in value] if isinstance(value, list) else value


def test_two_runs_are_equal_but_for_the_clock(found: Evaluation, table: OutcomeTable) -> None:
    again = evaluate(table, ROUTERS, seeds=2, draws=200).to_json()
    assert _without_timings(again) == _without_timings(found.to_json())


def test_the_order_of_rows_and_columns_of_the_table_changes_no_split(table: OutcomeTable) -> None:
    order = np.random.default_rng(0).permutation(len(table))
    moved = table.rows(order).select_arms(["arm-2", "arm-0", "arm-1"])
    one, other = rows(quick(table, "task")), rows(quick(moved, "task"))
    for name in ("task", "best_single", "task_best", "cheapest", "oracle"):
        for key in ("quality", "cost_usd", "reward"):
            assert other[name][key] == pytest.approx(one[name][key]), (name, key)


def test_the_json_is_strict(found: Evaluation) -> None:
    gappy = quick(_without_costs(make_table(40, missing=0.05), prices=False), "elo")
    for evaluation in (found, gappy):
        text = json.dumps(evaluation.to_json(), allow_nan=False)
        assert json.loads(text)["scenarios"].keys() == evaluation.scenarios.keys()


def test_cleaning_turns_what_json_cannot_say_into_null() -> None:
    dirty = {"a": [NAN, math.inf, 1 / 3], "b": (np.float64(0.1), True, 3, "x", None)}
    assert clean(dirty) == {"a": [None, None, 0.3333333333], "b": [0.1, True, 3, "x", None]}


# Wrong use


def test_one_arm_leaves_nothing_to_route() -> None:
    with pytest.raises(TableError, match=r"only one arm \(arm-0\): there is nothing to route"):
        evaluate(make_table(30, arms=1), ["elo"])


def test_no_scores_at_all() -> None:
    table = make_table(30)
    table.quality[:] = NAN
    with pytest.raises(TableError, match=r"no arm is scored on 90% .* \(the best on 0%\)"):
        evaluate(table, ["elo"])


def test_no_queries() -> None:
    with pytest.raises(TableError, match="needs queries and arms, got 0 by 3"):
        make_table(30).rows(np.zeros(30, dtype=bool))


def test_too_few_queries_for_two_sides() -> None:
    with pytest.raises(TableError, match=r"1 queries are too few for test=0\.3"):
        evaluate(make_table(30).rows(np.array([3])), ["elo"])


def test_no_seeds() -> None:
    with pytest.raises(PolicyError, match="needs at least one seed, got 0"):
        evaluate(make_table(30), ["elo"], seeds=0)


def test_unknown_scenario() -> None:
    with pytest.raises(PolicyError, match="unknown policy 'best'"):
        evaluate(make_table(30), ["elo"], scenarios=["best"])


def test_no_scenario_that_can_run() -> None:
    table = make_table(30)
    table.judge[:] = NAN
    with pytest.raises(PolicyError, match=r"no scenario can be run: .*no judge scores"):
        evaluate(table, ["elo"], scenarios=["judge"])


def test_unknown_routers_are_found_before_anything_is_fitted() -> None:
    labels: list[str] = []
    with pytest.raises(UnknownNameError, match="unknown router 'kmm'"):
        evaluate(make_table(30), ["elo", "kmm"], progress=lambda *step: labels.append(str(step)))
    assert labels == []


# Real outcomes


@pytest.fixture(params=["fusionbench9", "mmlu_pro_dev"])
def real(request: pytest.FixtureRequest) -> OutcomeTable:
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = folder / f"{request.param}.parquet"
    if not path.exists():
        pytest.skip(f"the development data set {path} is not on this machine")
    table = OutcomeTable.read(path)
    return table.rows(np.sort(np.random.default_rng(0).permutation(len(table))[:700]))


@pytest.mark.shared
def test_real_outcomes(real: OutcomeTable) -> None:
    found = evaluate(real, ["ridge", "knn"], scenarios=["performance", "balance"], draws=200)
    json.dumps(found.to_json(), allow_nan=False)
    for scenario in found.scenarios:
        board = rows(found, scenario)
        assert board.keys() == {"ridge", "knn", *BASELINE_ROWS}
        assert board["oracle"]["reward"] == max(row["reward"] for row in board.values())
        assert all(row.keys() >= PROMISED for row in board.values())
    has_costs = real.has_costs
    assert found.table["cost_basis"] == ("measured" if has_costs else "nominal")
    assert found.table["queries_in_train_and_test"] == 0


@pytest.mark.shared
def test_nothing_is_learned_from_shuffled_real_labels(real: OutcomeTable) -> None:
    order = np.random.default_rng(1).permutation(len(real))
    shuffled = replace(real, quality=real.quality[order])
    for row in quick(shuffled, "ridge", "knn").scenarios["performance"][:2]:
        assert row["ci95"][0] <= 0, row
