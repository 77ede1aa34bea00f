"""Plans among the levels: columns like any arm, priced by their calls, out of fold on train."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from fused_table import STUDENT, fused_table
from fusionfactory.answers import group_answers
from fusionfactory.contest import Contest
from fusionfactory.fuse import Fusion, fuse
from fusionfactory.fuse.planned import Planning
from fusionfactory.fuse.priced import curve
from fusionfactory.fuse.telling import plan_words
from fusionfactory.plans import Replayed, make_plan
from fusionfactory.policy import Policy
from fusionfactory.report import render_html, render_markdown

if TYPE_CHECKING:
    from typing import Any

QUICK: dict[str, Any] = {"router": "ridge", "draws": 100, "plans": ("cascade",), "folds": 2}
PRICED = "price:1e-05"


@pytest.fixture(scope="module")
def found() -> Fusion:
    return fuse(fused_table(40), students=[STUDENT], scenarios=("performance", PRICED), **QUICK)


def row(found: Fusion, scenario: str, name: str) -> dict[str, Any]:
    rows = found.to_json()["scenarios"][scenario]
    return next(row for row in rows if row["router"] == name)


def test_a_plan_is_a_row_of_both_tables(found: Fusion) -> None:
    assert row(found, "performance", "plan:cascade")["kind"] == "plan"
    rows = {row["name"]: row for row in found.fusion["rows"]}
    assert rows["plan:cascade"]["label"] == "Plan cascade"
    claims = {(s["row"], s["claim"]) for s in found.fusion["statements"]}
    assert ("plan:cascade", "beats_task_level") in claims
    assert found.fusion["plans_left_out"] is None


def test_a_plan_has_no_time_of_a_decision(found: Fusion) -> None:
    mine = row(found, "performance", "plan:cascade")
    assert mine["fit_s"] > 0
    assert mine["route_us_per_query"] is None


def test_a_price_makes_a_plan_cheaper(found: Fusion) -> None:
    dear, cheap = (row(found, name, "plan:cascade") for name in ("performance", PRICED))
    assert cheap["cost_usd"] < dear["cost_usd"]


def test_a_plans_shares_are_of_the_arms_whose_answers_it_gave(found: Fusion) -> None:
    shares = np.array(found.details["shares"]["plan:cascade"])
    assert shares.shape == (3, 6)
    assert shares.sum() == found.table["test_queries"]
    assert row(found, "performance", "plan:cascade")["top_share"] == pytest.approx(
        shares.sum(axis=0).max() / shares.sum()
    )


def test_the_curve_holds_the_point_that_the_row_stands_at(found: Fusion) -> None:
    points = np.array(found.details["curves"]["plan:cascade"])
    mine = row(found, "performance", "plan:cascade")
    assert np.isclose(points, [mine["cost_usd"], mine["quality"]]).all(axis=1).any()


def test_plans_are_told_in_words_in_every_form(found: Fusion) -> None:
    (told,) = found.fusion["plans"]
    assert told["name"] == "plan:cascade"
    content = found.to_json()
    for text in (render_html(content), render_markdown(content).replace("\\", "")):
        assert "How the plans go on" in text
        assert told["words"][-2] in text


def test_words_go_from_always_to_rarely() -> None:
    called = np.array([[1, 1, 0], [1, 1, 1], [1, 1, 0], [1, 1, 0]], bool)
    done = Replayed(np.array([0, 2, 0, 1]), called, np.ones(4), np.ones(4), np.ones(4))
    assert plan_words(["a", "b", "c"], done) == [
        "Asks a and b on every query.",
        "Asks c on 25 % of the queries.",
        "Calls 2.2 arms a query.",
        "Answers in the words of a (50 %), b (25 %) and c (25 %).",
    ]


def test_a_plan_is_judged_on_train_by_fits_that_did_not_see_the_query() -> None:
    """Labels without any pattern: in sample a plan would look better than it is."""
    table = fused_table(40)
    rng = np.random.default_rng(5)
    noise = replace(table, quality=rng.integers(0, 2, table.quality.shape).astype(float))
    contest = Contest.of(noise, 0, 0.3)
    planned = Planning.of(noise, ("cascade",), 3).run(
        contest, [Policy.parse("performance")], "text", lambda _: None
    )["performance"][0]
    assert len(planned.train.quality) == len(contest.train)
    assert 0.3 < planned.train.quality.mean() < 0.65


def test_a_call_of_unknown_cost_makes_the_plans_cost_unknown() -> None:
    table = fused_table(20)
    cost = table.cost_usd.copy()
    cost[:, :] = np.nan
    free = replace(table, cost_usd=cost, cost_basis="missing")
    answers = group_answers(free)
    plan = make_plan("cascade", seed=0).fit(free, answers=answers)
    assert np.isnan(curve(plan, free, answers)[:, 0]).all()


def test_a_metric_without_an_equivalence_is_told_and_the_other_queries_are_planned_for() -> None:
    table = fused_table(20)
    metrics = ["bleu" if i % 3 == 0 else "number" for i in range(len(table))]
    odd = replace(table, queries=table.queries.with_columns(pl.Series("metric", metrics)))
    found = fuse(odd, **QUICK)
    assert found.fusion["plans_left_out"] is None
    assert found.fusion["plan_notes"] == [
        "On 20 of 60 queries answers cannot be compared, for their metric does not say how "
        "(bleu 20): plans give the answer of the arm that they expect most of"
    ]
    for text in (render_html(found.to_json()), render_markdown(found.to_json())):
        assert "answers cannot be compared" in text


def test_a_budget_below_every_price_runs_the_cheapest_and_says_so() -> None:
    table = fused_table(30)
    contest, planning = Contest.of(table, 0, 0.3), Planning.of(table, ("cascade", "vote"), 2)
    policies = [Policy.parse(name) for name in ("performance", "budget:0.0000001")]
    dear, cheap = (
        planned[0] for planned in planning.run(contest, policies, "text", lambda _: None).values()
    )
    assert planning.notes == [
        f"Plan {plan} spends more than budget:1e-07 allows, though it runs as cheaply as it can"
        for plan in ("cascade", "vote")
    ]
    assert cheap.test.cost_usd.mean() < dear.test.cost_usd.mean()
    assert cheap.test.cost_usd.mean() == pytest.approx(cheap.points[:, 0].min(), rel=0.2)


def test_no_metric_that_says_how_answers_compare_leaves_plans_out() -> None:
    table = fused_table(20)
    odd = replace(
        table, queries=table.queries.with_columns(pl.lit(None, pl.String).alias("metric"))
    )
    planning = Planning.of(odd, ("cascade",), 2)
    assert len(planning) == 0
    assert planning.reason is not None
    assert planning.reason.startswith("no answer could be read")
