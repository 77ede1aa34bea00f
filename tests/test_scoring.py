"""Scores for a store's outcomes: what is scored, what is left, and that nothing is done twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fusionfactory.errors import TaskError, UnknownNameError
from fusionfactory.scorers import make_scorer
from fusionfactory.scoring import Scored, score_outcomes
from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Query, Score

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "runs.db")
    store.add_arms([Arm("m"), Arm("n")])
    store.add_queries(
        [
            Query("a", "Capital of France?", task="facts", target="Paris", metric="contains"),
            Query("b", "6 * 7?", task="sums", target="42", metric="number"),
            Query("c", "Write a poem.", task="poems", metric="judge"),
            Query("d", "Hello!"),
        ]
    )
    store.append(
        [
            Outcome("a", "m", response="It is Paris."),
            Outcome("a", "n", response="Rome"),
            Outcome("b", "m", response="The answer is 42.0"),
            Outcome("b", "n", error="500: boom"),
            Outcome("c", "m", response="Roses are red"),
            Outcome("d", "m", response="Hi"),
        ]
    )
    return store


def performance(store: Store) -> dict[tuple[str, str], list[Score]]:
    return {
        (o.query_id, o.arm): [s for s in o.scores if s.name == "performance"]
        for o in store.outcomes()
    }


def test_each_answer_gets_its_score(store: Store) -> None:
    assert score_outcomes(store) == Scored(scored=3, failed=1, judge_only=1, no_metric=1)
    scores = performance(store)
    assert [s.value for s in scores["a", "m"]] == [1.0]
    assert [s.value for s in scores["a", "n"]] == [0.0]
    assert scores["a", "n"][0].reason
    assert scores["a", "n"][0].version == make_scorer("contains").version
    assert [s.value for s in scores["b", "m"]] == [1.0]
    assert not scores["b", "n"]
    assert not scores["c", "m"]
    table = store.table()
    assert table.coverage()["m"] < 1.0


def test_nothing_is_scored_twice_unless_asked(store: Store) -> None:
    score_outcomes(store)
    assert score_outcomes(store).kept == 3
    assert score_outcomes(store, again=True).scored == 3
    assert len(performance(store)["a", "m"]) == 1


def test_scores_of_a_log_are_kept_and_those_of_an_older_scorer_are_not(store: Store) -> None:
    store.put_scores("a", "n", [Score("performance", 0.5)])
    store.put_scores("a", "m", [Score("performance", 0.0, "contains", "0")])
    assert score_outcomes(store, tasks={"facts"}) == Scored(scored=1, kept=1)
    scores = performance(store)
    assert scores["a", "n"][-1].value == 0.5
    assert scores["a", "m"][-1].value == 1.0
    assert store.table().quality[0].tolist() == [1.0, 0.5]


def test_a_task_whose_metric_changed_is_scored_by_the_new_one(store: Store) -> None:
    score_outcomes(store)
    store.add_queries([Query("a", "Capital of France?", target="Paris", metric="exact_match")])
    assert score_outcomes(store).scored == 2
    assert store.table().quality[0].tolist() == [0.0, 0.0]
    store.add_queries([Query("a", "Capital of France?", target="Paris", metric="contains")])
    assert score_outcomes(store).scored == 1
    assert store.table().quality[0].tolist() == [1.0, 0.0]
    assert score_outcomes(store).scored == 0


def test_a_query_that_is_added_meanwhile_is_left_for_the_next_run(
    store: Store, tmp_path: Path
) -> None:
    class Growing(Store):
        def queries(self) -> Iterator[Query]:
            return (query for query in super().queries() if query.id != "b")

    with Growing(tmp_path / "runs.db") as growing:
        assert score_outcomes(growing).scored == 2
        assert score_outcomes(store).scored == 1


def test_one_task_alone(store: Store) -> None:
    assert score_outcomes(store, tasks={"sums"}) == Scored(scored=1, failed=1)


def test_progress_is_told(store: Store) -> None:
    seen: list[int] = []
    score_outcomes(store, progress=lambda state: seen.append(state.scored))
    assert seen == [3]


def test_a_query_that_cannot_be_scored_is_named(store: Store) -> None:
    store.add_queries([Query("e", "?", task="x", metric="number")])
    store.append([Outcome("e", "m", response="1")])
    with pytest.raises(TaskError, match="'e'"):
        score_outcomes(store)


def test_an_unknown_metric_is_named(store: Store) -> None:
    store.add_queries([Query("e", "?", task="x", target="1", metric="vibes")])
    store.append([Outcome("e", "m", response="1")])
    with pytest.raises(UnknownNameError, match="unknown scorer 'vibes'"):
        score_outcomes(store)
