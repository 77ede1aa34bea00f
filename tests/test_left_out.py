"""Left-out tasks and arms: nothing of them is learnt, and what is measured is what was made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fused_table import ARMS, fused_table
from fusionfactory.errors import PolicyError, TableError, UnknownNameError
from fusionfactory.evaluation import clean
from fusionfactory.left_out import leave_arms_out, leave_tasks_out

if TYPE_CHECKING:
    from typing import Any

QUICK: dict[str, Any] = {"routers": ("ridge",), "draws": 100}


@pytest.fixture(scope="module")
def arms() -> dict[str, Any]:
    named = ["small|thought:3", "big"]
    found: dict[str, Any] = leave_arms_out(fused_table(150), arms=named, labels=(0, 60), **QUICK)[
        "routers"
    ][0]
    return found


# Tasks


def test_every_task_is_left_out_once_with_the_others_best_single_arm() -> None:
    (found,) = leave_tasks_out(fused_table(), **QUICK)["routers"]
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["rules", "sums", "verbs"]
    assert {(row["queries"], row["train_queries"]) for row in rows.values()} == {(60, 120)}
    assert rows["sums"]["single"] == "big|think"  # best on verbs and rules, not on sums
    assert rows["sums"]["gain"] == pytest.approx(
        rows["sums"]["quality"] - rows["sums"]["single_quality"]
    )
    assert found["overall"]["gain"] == pytest.approx(
        np.mean([row["gain"] for row in rows.values()])
    )


def test_a_task_that_is_left_out_teaches_nothing() -> None:
    """Whatever its outcomes are, the choices for it stay."""
    table = fused_table()
    quality = table.quality.copy()
    sums = table.tasks == "sums"
    quality[sums] = 1 - quality[sums]
    turned = replace(table, quality=quality)
    first, second = (
        {row["name"]: row for row in leave_tasks_out(t, **QUICK)["routers"][0]["rows"]}
        for t in (table, turned)
    )
    for key in ("single", "top", "top_share", "cost_usd"):
        assert first["sums"][key] == second["sums"][key]
    assert first["sums"]["quality"] == pytest.approx(1 - second["sums"]["quality"])


def test_near_duplicates_leave_with_their_task() -> None:
    table = fused_table()
    texts = table.queries["query"].to_list()
    texts[60:70] = [text.upper() for text in texts[:10]]  # ten verbs repeat sums
    table = replace(table, queries=table.queries.with_columns(query=np.array(texts)))
    rows = {row["name"]: row for row in leave_tasks_out(table, **QUICK)["routers"][0]["rows"]}
    assert rows["sums"]["train_queries"] == 110
    assert rows["rules"]["train_queries"] == 120


def test_domains_can_be_left_out_and_small_parts_are_told() -> None:
    found = leave_tasks_out(fused_table(), by="domain", **QUICK)
    assert [row["name"] for row in found["routers"][0]["rows"]] == ["language", "math"]
    table = fused_table()
    few = table.rows(np.r_[0:130])
    assert leave_tasks_out(few, **QUICK)["too_small"] == {"rules": 10}


def test_one_task_cannot_be_left_out() -> None:
    table = fused_table()
    with pytest.raises(
        TableError, match=r"at least two tasks.*got 1, the largest with 60: leave out by d"
    ):
        leave_tasks_out(table.rows(table.tasks == "sums"), **QUICK)


# Arms


def test_an_arm_that_is_missed_is_worth_something_and_labels_bring_it_back(
    arms: dict[str, Any],
) -> None:
    """Verbs want thoughts: without that arm a third of the queries lose three points in ten."""
    row = next(row for row in arms["rows"] if row["name"] == "small|thought:3")
    assert row["full"]["ci95"][0] > 0
    described, labelled = row["labelled"]
    assert (described["labels"], labelled["labels"]) == (0, 60)
    assert labelled["gain"] > described["gain"]
    assert labelled["reached"] == pytest.approx(labelled["gain"] / row["full"]["gain"])


def test_an_arm_that_adds_nothing_has_no_share_to_reach(arms: dict[str, Any]) -> None:
    row = next(row for row in arms["rows"] if row["name"] == "big")
    assert row["full"]["ci95"][0] <= 0
    assert all(clean(part["reached"]) is None for part in row["labelled"])


def test_the_mean_over_arms_weighs_them_the_same(arms: dict[str, Any]) -> None:
    gains = [row["full"]["gain"] for row in arms["rows"]]
    assert arms["overall"]["full"]["gain"] == pytest.approx(np.mean(gains))


def test_only_the_labelled_outcomes_of_an_arm_are_learnt() -> None:
    """With no labels its outcomes do not count; on the test side they only measure."""
    table = fused_table()
    quality = table.quality.copy()
    quality[:, ARMS.index("small|thought:3")] = 0.0
    empty = replace(table, quality=quality)
    first, second = (
        leave_arms_out(t, arms=["small|thought:3"], labels=(0,), **QUICK)["routers"][0]["rows"][0]
        for t in (table, empty)
    )
    assert first["without"] == second["without"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"labels": (-1,)}, PolicyError, r"expected numbers of queries of at least 0, got \[-1\]"),
        ({"arms": ["nobody"]}, TableError, "unknown arm 'nobody'"),
        (
            {"routers": ("knn-paper",)},
            PolicyError,
            "'knn-paper' learns one policy's labels and can",
        ),
        ({"routers": ("kn",)}, UnknownNameError, "unknown router 'kn'"),
        ({"scenario": "judge"}, PolicyError, "the table has no judge scores"),
    ],
)
def test_wrong_use_is_told(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        leave_arms_out(fused_table(), **QUICK | given)


def test_two_arms_are_too_few_to_leave_one_out() -> None:
    with pytest.raises(TableError, match="needs at least 3 arms, got small, big"):
        leave_arms_out(fused_table().select_arms(["small", "big"]), **QUICK)
