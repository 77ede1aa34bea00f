"""Levels side by side and the fused choice: what belongs where, honesty, and gaps."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fused_table import ARMS, STUDENT, fused_table
from fusionfactory.contest import Contest
from fusionfactory.errors import PolicyError, TableError, UnknownNameError
from fusionfactory.fuse import Fusion, fuse, levels_of
from fusionfactory.fuse.arena import Answered, fold_numbers, stacked, with_columns
from fusionfactory.leaderboard import BASELINE_ROWS
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from typing import Any

    from fusionfactory.table import OutcomeTable

QUICK: dict[str, Any] = {"router": "ridge", "draws": 100, "plans": ()}


@pytest.fixture(scope="module")
def found() -> Fusion:
    return fuse(fused_table(), students=[STUDENT], seeds=2, **QUICK)


def rows(found: Fusion) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in found.to_json()["fusion"]["rows"]}


# Levels


def test_arms_are_sorted_into_levels_by_strategy_and_student() -> None:
    levels = {level.name: level.arms for level in levels_of([*map(Arm.parse, ARMS)], [STUDENT])}
    assert levels == {
        "level:direct": ("small", "big"),
        "level:think": ("small|think", "big|think"),
        "level:thought": ("small|thought:3",),
        "level:model": (STUDENT,),
        "level:query": ("small", "small|think", "big", "big|think"),
    }


def test_a_student_is_known_by_how_it_was_registered() -> None:
    arms = [
        Arm("base"),
        Arm("kid", description="base fine-tuned on 40 answers chosen by best: 40 of big"),
        Arm("other", description="a fine tune of unknown origin"),
    ]
    levels = {level.name: level.arms for level in levels_of(arms)}
    assert levels["level:model"] == ("kid",)
    assert levels["level:direct"] == ("base", "other")
    named = {level.name: level.arms for level in levels_of(arms, ["other"])}
    assert named["level:model"] == ("other",)


def test_controls_are_a_level_of_their_own() -> None:
    arms = [
        Arm("m", strategy) for strategy in ("direct", "format", "few-shot:3", "thought-judge:3")
    ]
    levels = {level.name: level.arms for level in levels_of(arms)}
    assert levels["level:control"] == ("m|format", "m|few-shot:3")
    assert levels["level:thought"] == ("m|thought-judge:3",)
    assert "level:query" not in levels  # one plain arm is no choice


def test_a_student_that_is_not_there_is_an_error() -> None:
    with pytest.raises(TableError, match="no arm is of the student 'nobody'; the models are big"):
        levels_of([Arm("big")], ["nobody"])


# What comes out


def test_every_level_has_a_row_with_all_domains(found: Fusion) -> None:
    content = found.to_json()["fusion"]
    assert list(rows(found)) == [
        "best_single", "level:direct", "level:think", "level:thought", "level:model",
        "level:query", "level:task", "fused",
    ]  # fmt: skip
    assert [domain["name"] for domain in content["domains"]] == ["math", "language"]
    for row in rows(found).values():
        assert len(row["domains"]) == 2
        assert len(row["tasks"]) == 3
        assert set(row["against"]) == {"best_single", "level:task"}
        assert row["cost_usd"] > 0


def test_the_fused_choice_finds_the_level_of_every_task_without_the_label(found: Fusion) -> None:
    """Sums want the direct prompt, verbs thoughts, rules the big model that thinks."""
    by_name = rows(found)
    assert by_name["fused"]["against"]["best_single"]["ci95"][0] > 0
    assert by_name["fused"]["quality"] > by_name["level:query"]["quality"]
    assert abs(by_name["fused"]["quality"] - by_name["level:task"]["quality"]) < 0.1
    held = {
        s["row"]: s["holds"] for s in found.fusion["statements"] if s["claim"] == "beats_single"
    }
    assert held == {"fused": True}


def test_the_best_level_per_task_is_the_one_that_was_made_best(found: Fusion) -> None:
    assert found.fusion["task_levels"]["verbs"] == "level:thought"
    assert found.fusion["task_levels"]["rules"] in {"level:think", "level:query"}
    assert found.fusion["chosen"]["level:think"] == "big|think"


def test_the_leaderboard_is_that_of_evaluate_with_kinds(found: Fusion) -> None:
    board = found.to_json()["scenarios"]["performance"]
    kinds = {row["router"]: row["kind"] for row in board}
    assert {name for name, kind in kinds.items() if kind == "arm"} == set(ARMS)
    assert {name for name, kind in kinds.items() if kind == "baseline"} == {
        *BASELINE_ROWS, "level:task",
    }  # fmt: skip
    assert {name for name, kind in kinds.items() if kind == "level"} == {
        "level:direct", "level:think", "level:thought", "level:model",
    }  # fmt: skip
    assert (kinds["fused"], kinds["level:query"]) == ("fused", "router")
    by_name = {row["router"]: row for row in board}
    single = by_name["best_single"]
    assert by_name[found.fusion["chosen"]["best_single"]]["quality"] >= 0.4
    assert single["gain"] == 0
    assert by_name["fused"]["gain"] == pytest.approx(
        by_name["fused"]["quality"] - single["quality"], abs=1e-9
    )


def test_a_level_costs_what_its_arms_cost(found: Fusion) -> None:
    by_name = {row["router"]: row for row in found.scenarios["performance"]}
    assert by_name["level:thought"]["cost_usd"] == pytest.approx(3e-6)
    assert by_name["level:model"]["cost_usd"] == pytest.approx(1e-6)


def test_the_same_seed_gives_the_same_figures() -> None:
    first, second = (fuse(fused_table(), seeds=1, **QUICK).to_json() for _ in range(2))
    for content in (first, second):
        for row in content["scenarios"]["performance"]:
            for key in ("fit_s", "route_us_per_query", "decide_p50_ms"):
                row.pop(key)
    first.pop("details"), second.pop("details")
    assert json.dumps(first) == json.dumps(second)


def test_test_outcomes_choose_nothing() -> None:
    """With other outcomes on the test side the choices made on train stay as they were."""
    table = fused_table()
    test = Contest.of(table, 0, 0.3).test_rows
    quality = table.quality.copy()
    quality[test] = 1 - quality[test]
    before, after = (fuse(t, **QUICK) for t in (table, replace(table, quality=quality)))
    for key in ("chosen", "task_levels"):
        assert before.fusion[key] == after.fusion[key]
    assert before.details["shares"]["fused"] == after.details["shares"]["fused"]
    assert rows(before)["fused"]["quality"] != rows(after)["fused"]["quality"]


# Gaps and wrong use


def test_without_responses_plans_are_left_out_and_it_says_so() -> None:
    found = fuse(fused_table(responses=False), **QUICK | {"plans": ("cascade",)})
    assert found.fusion["plans"] == []
    assert found.fusion["plans_left_out"].startswith("the table has no responses")
    assert "fused" in rows(found)


def test_a_query_that_a_row_has_no_score_for_counts_for_none() -> None:
    table = fused_table()
    quality = table.quality.copy()
    quality[::20] = np.nan
    found = fuse(replace(table, quality=quality), **QUICK)
    content = found.to_json()["fusion"]
    assert content["queries"] < content["asked"]
    assert sum(task["queries"] for task in content["tasks"]) == content["queries"]


def test_without_costs_the_levels_are_compared_by_quality_alone() -> None:
    table = fused_table()
    free = replace(table, cost_usd=np.full_like(table.cost_usd, np.nan), cost_basis="missing")
    found = fuse(free, scenarios=("performance", "balance"), **QUICK)
    assert rows(found)["fused"]["cost_usd"] is None
    assert found.skipped["balance"] == "the table has neither costs nor prices"


def judged_table() -> OutcomeTable:
    """The judge likes the student alone, and has not read what `small|think` wrote."""
    table = fused_table()
    judge = np.full_like(table.quality, 0.2)
    judge[:, ARMS.index(STUDENT)] = 0.9
    judge[:, ARMS.index("small|think")] = np.nan
    return replace(table, judge=judge)


def test_under_the_judge_its_scores_are_the_quality() -> None:
    found = fuse(judged_table(), scenarios=("performance", "judge"), students=[STUDENT], **QUICK)
    boards = found.to_json()["scenarios"]
    assert list(boards) == ["performance", "judge"]
    by_name = {row["router"]: row for row in boards["judge"]}
    assert by_name["best_single"]["quality"] == pytest.approx(0.9)
    assert by_name["fused"]["quality"] == pytest.approx(0.9)
    assert "small|think" not in by_name
    assert not found.fusion["judged"]


def test_the_levels_are_the_judges_where_it_comes_first() -> None:
    found = fuse(judged_table(), scenarios=("judge", "performance"), students=[STUDENT], **QUICK)
    assert found.fusion["judged"]
    assert found.fusion["chosen"]["best_single"] == STUDENT
    assert rows(found)["level:model"]["quality"] == pytest.approx(0.9)
    assert rows(found)["level:direct"]["quality"] == pytest.approx(0.2)
    assert list(found.scenarios) == ["judge", "performance"]


def test_without_judge_scores_the_judge_is_skipped() -> None:
    found = fuse(fused_table(), scenarios=("performance", "judge"), **QUICK)
    assert found.skipped["judge"] == "the table has no judge scores"
    with pytest.raises(PolicyError, match=r"no scenario can be run: .*judge"):
        fuse(fused_table(), scenarios=("judge",), **QUICK)


def test_the_fused_choice_is_examined_where_that_is_asked_for(found: Fusion) -> None:
    assert "robustness" not in found.to_json()
    examined = fuse(fused_table(30), robustness=True, **QUICK).to_json()["robustness"]
    (exam,) = examined["routers"]
    assert exam["router"] == "fused"
    assert {shift["edit"] for shift in exam["shifts"]} >= {"upper", "typos", "thanks"}
    assert {attack["trigger"]["place"] for attack in exam["attacks"]} == {"suffix", "prefix"}
    assert exam["spread"]["decisions"] == examined["queries"] == 27
    assert examined["ceilings"]["oracle"] >= examined["ceilings"]["corrected"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"seeds": 0}, PolicyError, "expected at least 1, got 0"),
        ({"folds": 1}, PolicyError, "expected at least 2, got 1"),
        ({"router": "knn-paper"}, PolicyError, "knows one policy only"),
        ({"router": "kn"}, UnknownNameError, "unknown router 'kn'"),
        ({"plans": ("casc",)}, UnknownNameError, "unknown plan 'casc'"),
        ({"students": ["big", "kid"]}, TableError, "no arm is of the student 'kid'"),
    ],
)
def test_wrong_use_is_told(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fuse(fused_table(), **QUICK | given)


def test_one_arm_is_no_choice() -> None:
    with pytest.raises(TableError, match=r"only one arm \(small\)"):
        fuse(fused_table().select_arms(["small"]), **QUICK)


def test_an_arm_must_not_be_called_as_a_row_is() -> None:
    table = fused_table()
    named = replace(table, arms=(Arm("oracle"), *table.arms[1:]))
    with pytest.raises(TableError, match="an arm is called 'oracle'"):
        fuse(named, **QUICK)


# The arena


def test_a_plan_is_one_more_column() -> None:
    table = fused_table(4)
    done = Answered(np.arange(12) / 12, np.full(12, 5e-6), np.zeros(12, dtype=int))
    joint = with_columns(table, {"plan:x": done})
    assert joint.arm_names == (*table.arm_names, "plan:x")
    np.testing.assert_array_equal(joint.quality[:, -1], done.quality)
    np.testing.assert_array_equal(joint.cost_usd[:, :-1], table.cost_usd)
    assert with_columns(table, {}) is table


def test_near_duplicates_share_a_fold() -> None:
    table = fused_table(10)
    twice = stacked([table, table])
    number = fold_numbers(twice, 3, seed=1)
    np.testing.assert_array_equal(number[:30], number[30:])
    assert set(number) == {0, 1, 2}
