"""How far a judge is to be trusted: hand-computed agreement, and repeats that replace nothing."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fake_judge import FakeClient, block_of, graded, judge_of, small_store
from fusionfactory.judge import agreement, judge, retest
from fusionfactory.judge.concordance import (
    accuracy,
    auc,
    bootstrapped,
    kappa,
    spearman,
    table_per_query,
)
from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Query, Score

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.clients import ChatRequest

GRADES = graded({"right": 0.8, "wrong": 0.0})


# Statistics


def test_kappa_by_hand() -> None:
    table = np.array([[20.0, 5.0], [10.0, 15.0]])
    assert accuracy(table) == pytest.approx(0.7)
    assert kappa(table) == pytest.approx(0.4)  # (.7 - .5) / (1 - .5)


def test_kappa_and_auc_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import cohen_kappa_score, roc_auc_score

    rng = np.random.default_rng(0)
    one = rng.integers(0, 5, 200)
    other = np.clip(one + rng.integers(-1, 2, 200), 0, 4)
    table = table_per_query(np.zeros(200, dtype=np.int64), one, other, (5, 5))[0]
    for weights in (None, "quadratic"):
        expected = cohen_kappa_score(one, other, weights=weights)
        assert kappa(table, quadratic=weights is not None) == pytest.approx(expected)
    right = (rng.random(200) < 0.2 + 0.15 * one).astype(np.int64)
    ranked = table_per_query(np.zeros(200, dtype=np.int64), one, right, (5, 2))[0]
    assert auc(ranked) == pytest.approx(roc_auc_score(right, one))


def test_undefined_statistics_are_nan() -> None:
    assert np.isnan(kappa(np.array([[7.0, 0.0], [0.0, 0.0]])))
    assert np.isnan(auc(np.array([[0.0, 3.0], [0.0, 2.0]])))
    assert np.isnan(accuracy(np.zeros((2, 2))))
    assert math.isnan(spearman(np.ones(4), np.arange(4.0)))
    assert math.isnan(spearman(np.empty(0), np.empty(0)))


def test_spearman_is_that_of_scipy() -> None:
    from scipy.stats import spearmanr

    one, other = np.array([0.0, 0.3, 0.3, 0.8, 1.0]), np.array([0.0, 0.0, 0.6, 1.0, 0.8])
    assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)


def test_the_interval_resamples_queries_not_answers() -> None:
    agreeing, differing = [[50.0, 0.0], [0.0, 50.0]], [[0.0, 50.0], [50.0, 0.0]]
    two_queries = np.array([agreeing, differing])
    found = bootstrapped(accuracy, two_queries)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    assert bootstrapped(accuracy, two_queries) == found
    same = bootstrapped(accuracy, np.array([agreeing] * 9))
    assert (same.value, same.low, same.high) == (1.0, 1.0, 1.0)


def test_one_query_has_no_interval() -> None:
    alone = bootstrapped(accuracy, np.array([[[2.0, 1.0], [0.0, 1.0]]]))
    assert alone.value == 0.75
    assert alone.to_json() == {"value": 0.75, "ci95": None}


# The report


def scored_store(folder: Path) -> Store:
    """Eight answers of two tasks: (grade, repeated grade, metric) as below."""
    store = Store(folder / "scored.db")
    rows = [
        ("a", 0.8, 0.8, 1.0), ("a", 0.3, 0.6, 1.0), ("a", 0.0, 0.0, 0.0), ("a", 1.0, None, 0.0),
        ("b", 0.6, None, 1.0), ("b", 0.0, None, 1.0), ("b", 0.0, None, 0.2), ("b", 0.0, None, None),
    ]  # fmt: skip
    store.add_arms([Arm("m")])
    for number, (task, grade, again, metric) in enumerate(rows):
        scores = [Score("llm_judge", grade, "strict", "rubric-1")]
        if again is not None:
            scores.append(Score("llm_judge_retest", again, "strict", "rubric-1"))
        if metric is not None:
            scores.append(Score("performance", metric, "number", "1"))
        store.add_queries([Query(f"q{number}", f"{number}?", task=task)])
        store.append([Outcome(f"q{number}", "m", response="x", scores=tuple(scores))])
    return store


def test_agreement_by_hand(tmp_path: Path) -> None:
    with scored_store(tmp_path) as store:
        (found,) = agreement(store, judge="strict", draws=50)
        assert agreement(store, judge="nobody") == []
    assert (found.judge, found.version, found.graded) == ("strict", "rubric-1", 8)
    assert found.levels == {0.0: 0.5, 0.3: 0.125, 0.6: 0.125, 0.8: 0.125, 1.0: 0.125}
    again = found.retest
    assert again is not None
    assert again.n == 3
    assert again.exact == pytest.approx(2 / 3)
    assert again.mean_difference == pytest.approx(0.1)
    assert again.spearman == pytest.approx(1.0)
    # Levels 3-3, 1-2, 0-0: seen 1/3; expected sum over all nine pairs of (i-j)^2, a ninth each.
    assert again.kappa.value == pytest.approx(1 - (1 / 3) / (29 / 9))
    whole, task_a, task_b = found.metric
    assert (whole.task, task_a.task, task_b.task) == (None, "a", "b")
    assert (whole.n, task_a.n, task_b.n) == (7, 4, 3)
    assert whole.judged_right == pytest.approx(4 / 7)
    assert whole.right == pytest.approx(4 / 7)
    assert whole.accuracy.value == pytest.approx(5 / 7)
    chance = (4 / 7) ** 2 + (3 / 7) ** 2
    assert whole.kappa.value == pytest.approx((5 / 7 - chance) / (1 - chance))
    # Right answers .8 .3 .6 0 against wrong ones 0 1 0: 2 + 2 + 2 + 2 halves of 12 pairs.
    assert whole.auc.value == pytest.approx(7 / 12)
    assert task_b.auc.value == pytest.approx(1.5 / 2)


def test_the_report_is_json(tmp_path: Path) -> None:
    with scored_store(tmp_path) as store:
        (found,) = agreement(store, draws=50)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["retest"]["n"] == 3
    assert content["metric"][0]["accuracy"]["value"] == pytest.approx(5 / 7)
    assert len(content["metric"][0]["accuracy"]["ci95"]) == 2
    assert content["levels"]["0.3"] == 0.125


def test_without_a_metric_there_is_no_comparison(tmp_path: Path) -> None:
    with small_store(tmp_path) as store:
        assert agreement(store) == []
        judge(store, judge_of(FakeClient(GRADES)), tasks=["verse"])
        (found,) = agreement(store)
        assert (found.metric, found.retest) == ((), None)


def test_one_judge_has_a_row_per_version(tmp_path: Path) -> None:
    with small_store(tmp_path) as store:
        judge(store, judge_of(FakeClient(GRADES)))
        found = {row.version: row for row in agreement(store)}
        assert {name: row.graded for name, row in found.items()} == {
            "rubric-1+target": 3, "rubric-1": 1,
        }  # fmt: skip
        (row,) = found["rubric-1+target"].metric
        assert (row.n, row.accuracy.value, row.kappa.value) == (2, 1.0, 1.0)


# Repeats


def test_a_repeat_does_not_replace_the_grade(tmp_path: Path) -> None:
    with small_store(tmp_path) as store:
        judge(store, judge_of(FakeClient(GRADES)))
        before = store.table().judge
        done = retest(store, judge_of(FakeClient(graded({"": 0.6}))), sample=100)
        assert done.judged == 4
        np.testing.assert_array_equal(store.table().judge, before)
        found = {row.version: row.retest for row in agreement(store)}
        again = found["rubric-1+target"]
        assert again is not None
        assert (again.n, again.exact) == (3, 0.0)
        assert again.mean_difference == pytest.approx((0.2 + 0.2 + 0.6) / 3)
        client = FakeClient(GRADES)
        assert judge(store, judge_of(client)).held == 4
        assert client.asked == []


def test_a_repeat_is_asked_like_the_grade(tmp_path: Path) -> None:
    with small_store(tmp_path) as store:
        first, second = FakeClient(GRADES), FakeClient(GRADES)
        judge(store, judge_of(first))
        retest(store, judge_of(second))
        texts = [{str(r.messages) for r in client.asked} for client in (first, second)]
        assert texts[0] == texts[1]


def test_the_sample_is_the_seeds_and_goes_on(tmp_path: Path) -> None:
    def asked(client: FakeClient) -> set[str]:
        return {block_of(request, "response") for request in client.asked}

    with small_store(tmp_path) as store:
        judge(store, judge_of(FakeClient(GRADES)))
        cut_short, rest, more = FakeClient(GRADES), FakeClient(GRADES), FakeClient(GRADES)
        retest(store, judge_of(cut_short), sample=2, budget_usd=0.001)
        assert len(asked(cut_short)) == 1
        retest(store, judge_of(rest), sample=2)
        assert len(asked(rest)) == 1
        assert not asked(rest) & asked(cut_short)
        retest(store, judge_of(more), sample=3)
        assert len(asked(more)) == 1


def test_what_was_not_graded_is_not_repeated(tmp_path: Path) -> None:
    def never(_: ChatRequest) -> str:
        raise AssertionError

    with small_store(tmp_path) as store:
        assert retest(store, judge_of(FakeClient(never))).judged == 0
        judge(store, judge_of(FakeClient(GRADES)))
        assert retest(store, judge_of(FakeClient(never), "mild")).judged == 0
