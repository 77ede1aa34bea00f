"""Swapped comparisons: a win counts only both ways round, and a position shows as bias."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fake_judge import FakeClient, block_of, judge_of, small_store
from fusionfactory.errors import CallError, ConfigError
from fusionfactory.judge import compare, pair_report
from fusionfactory.judge.battles import Battles, ratings
from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Query

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fusionfactory.clients import ChatRequest

A, B = "a", "b|think"


def pairs_store(folder: Path, answers: dict[str, list[str]]) -> Store:
    """Arm to its answer per query."""
    store = Store(folder / "pairs.db")
    store.add_arms([Arm.parse(name) for name in answers])
    for number in range(len(next(iter(answers.values())))):
        store.add_queries([Query(f"q{number}", f"{number}?", task="t", target=str(number))])
        store.append(
            Outcome(f"q{number}", arm, response=texts[number]) for arm, texts in answers.items()
        )
    return store


def prefers(better: Callable[[str, str], str]) -> Callable[[ChatRequest], str]:
    def answer(request: ChatRequest) -> str:
        side = better(block_of(request, "first"), block_of(request, "second"))
        return json.dumps({"reason": "because of it", "better": side})

    return answer


def by_number(first: str, second: str) -> str:
    """The answer with the higher number wins."""
    one, other = int(first.split()[-1]), int(second.split()[-1])
    return "tie" if one == other else "first" if one > other else "second"


def test_a_fair_judge(tmp_path: Path) -> None:
    client = FakeClient(prefers(by_number))
    answers = {A: ["x 2", "x 2", "x 1", "x 5"], B: ["y 1", "y 1", "y 2", "y 5"]}
    with pairs_store(tmp_path, answers) as store:
        done = compare(store, judge_of(client), arms=(A, B))
        assert (done.judged, done.versions) == (8, {"pair-1+target": 8})
        (found,) = pair_report(store, draws=50)
        scores = {o.arm: o.scores for o in store.outcomes() if o.query_id == "q0"}
        assert np.isnan(store.table().judge).all()
    assert [block_of(r, "first")[0] for r in client.asked] == list("xyxyxyxy")
    (score,) = scores[A]
    assert (score.name, score.value, score.scorer) == (f"judge_pair:{B}", 1.0, "strict")
    assert (score.version, score.reason) == ("pair-1+target", "because of it")
    assert [s.value for s in scores[B]] == [0.0]
    assert (found.judge, found.version, found.n, found.half) == ("strict", "pair-1+target", 4, 0)
    assert (found.flipped, found.first, found.second) == (0.0, 0.0, 0.0)
    (row,) = found.battles
    assert (row.arm, row.other, row.wins, row.losses, row.ties) == (A, B, 2, 1, 1)
    assert row.win_rate == pytest.approx(0.625)
    assert row.ci95[0] <= row.win_rate <= row.ci95[1]
    assert [rating.arm for rating in found.ratings] == [A, B]


@pytest.mark.parametrize("side", ["first", "second"])
def test_a_judge_that_only_sees_the_position(tmp_path: Path, side: str) -> None:
    with pairs_store(tmp_path, {A: ["x 2"] * 3, B: ["y 1"] * 3}) as store:
        compare(store, judge_of(FakeClient(prefers(lambda *_: side))), arms=(A, B))
        (found,) = pair_report(store, draws=10)
    assert found.flipped == 1.0
    assert (found.first, found.second) == ((1.0, 0.0) if side == "first" else (0.0, 1.0))
    assert (found.battles[0].wins, found.battles[0].losses, found.battles[0].ties) == (0, 0, 3)


def test_a_win_one_way_and_a_tie_the_other_is_a_tie(tmp_path: Path) -> None:
    def better(first: str, _: str) -> str:
        return "first" if first.startswith("x") else "tie"

    with pairs_store(tmp_path, {A: ["x 2"], B: ["y 1"]}) as store:
        compare(store, judge_of(FakeClient(prefers(better))), arms=(A, B))
        (found,) = pair_report(store, draws=10)
    assert (found.battles[0].ties, found.flipped, found.first) == (1, 1.0, 0.0)


def test_verdicts_are_resumed_one_by_one(tmp_path: Path) -> None:
    def fails_once(request: ChatRequest) -> str:
        if block_of(request, "first") == "y 1":
            msg = "HTTP 500"
            raise CallError(msg, status=500)
        return prefers(by_number)(request)

    with pairs_store(tmp_path, {A: ["x 2", "x 3"], B: ["y 1", "y 2"]}) as store:
        done = compare(store, judge_of(FakeClient(fails_once)), arms=(A, B))
        assert (done.judged, done.failed) == (3, 1)
        (found,) = pair_report(store, draws=10)
        assert (found.n, found.half) == (1, 1)
        client = FakeClient(prefers(by_number))
        done = compare(store, judge_of(client), arms=(A, B))
        assert [block_of(r, "first") for r in client.asked] == ["y 1"]
        assert done.held == 3
        (found,) = pair_report(store, draws=10)
        assert (found.n, found.half) == (2, 0)
        assert compare(store, judge_of(client), arms=(A, B), again=True).judged == 4


def test_equal_responses_are_a_tie_without_a_call(tmp_path: Path) -> None:
    client = FakeClient(prefers(by_number))
    with pairs_store(tmp_path, {A: ["4"], B: ["4"], "c": ["4"]}) as store:
        done = compare(store, judge_of(client), pairs_per_query=3)
        assert client.asked == []
        assert done.identical == 3
        (found,) = pair_report(store, draws=10)
        assert (found.n, sum(row.ties for row in found.battles)) == (3, 3)


def test_pairs_are_drawn_by_seed(tmp_path: Path) -> None:
    answers = {name: [f"{name} {n}" for n in range(12)] for name in "abcd"}
    with pairs_store(tmp_path, answers) as store:
        first = FakeClient(prefers(by_number))
        done = compare(store, judge_of(first), seed=3)
        assert done.judged == 24
        pairs = {frozenset((block_of(r, "first")[0], block_of(r, "second")[0]))
                 for r in first.asked}  # fmt: skip
        assert len(pairs) > 3
        again = FakeClient(prefers(by_number))
        compare(store, judge_of(again), seed=3)
        assert again.asked == []
        limited = FakeClient(prefers(by_number))
        compare(store, judge_of(limited), seed=4, limit=2)
        assert len(limited.asked) <= 4


def test_many_pairs_of_one_outcome_in_one_batch(tmp_path: Path) -> None:
    answers = {name: [f"{name} {ord(name)}"] for name in "abcd"}
    with pairs_store(tmp_path, answers) as store:
        compare(store, judge_of(FakeClient(prefers(by_number))), pairs_per_query=6)
        (found,) = pair_report(store, draws=10)
    assert (found.n, found.half) == (6, 0)
    assert [rating.arm for rating in found.ratings] == list("dcba")
    assert sum(rating.elo for rating in found.ratings) == pytest.approx(4_000)


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    client = FakeClient(prefers(by_number))
    with small_store(tmp_path) as store:
        done = compare(store, judge_of(client), arms=("small", "big|think"), with_target=True)
        assert (len(client.asked), done.no_target, done.no_response) == (2, 2, 0)
        with pytest.raises(ConfigError, match="only 'small' is named"):
            compare(store, judge_of(client), arms=("small", "small"))
        with pytest.raises(ConfigError, match="no arm 'tall'"):
            compare(store, judge_of(client), arms=("small", "tall"))
        assert pair_report(store, judge="mild") == []


def test_ratings_are_bradley_terry() -> None:
    def row(one: str, other: str, wins: int, losses: int) -> Battles:
        return Battles(one, other, wins + losses, wins, losses, 0, 0.5, (0.0, 1.0))

    found = ratings((row("a", "b", 7_500, 2_500),))
    assert found[0].elo - found[1].elo == pytest.approx(400 * np.log10(3), abs=0.1)
    assert (found[0].n, found[0].win_rate) == (10_000, 0.75)
    unbeaten = ratings((row("a", "b", 5, 0), row("b", "c", 5, 0)))
    assert [rating.arm for rating in unbeaten] == ["a", "b", "c"]
    assert all(np.isfinite(rating.elo) for rating in unbeaten)
    assert ratings(()) == ()


def test_the_report_is_json(tmp_path: Path) -> None:
    with pairs_store(tmp_path, {A: ["x 2"], B: ["y 1"]}) as store:
        compare(store, judge_of(FakeClient(prefers(by_number))), arms=(A, B), limit=1)
        (found,) = pair_report(store, judge="strict", draws=10)
        assert pair_report(store, judge="mild") == []
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["battles"][0]["wins"] == 1
    assert content["ratings"][0]["arm"] == A
