"""The store, on SQLite and on a PostgreSQL server that the tests start if there is one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusionfactory.errors import StoreError
from fusionfactory.store import Store
from fusionfactory.table import CELLS, OutcomeTable
from fusionfactory.types import Arm, Outcome, Query, Score

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store(store_url) as opened:
        opened.add_queries([Query("q1", "One?", task="t"), Query("q2", "Two?", task="t")])
        opened.add_arms([Arm("m", input_price=0.5), Arm("m", "think"), Arm("big")])
        yield opened


FULL = Outcome(
    "q1",
    "m|think",
    sample=3,
    response="Ünï – 'quoted'\n",
    input_tokens=12,
    output_tokens=3,
    cost_usd=1.5e-7,
    latency_s=0.25,
    scores=(
        Score("llm_judge", 0.4, "gpt", "2", "good"),
        Score("style", 0.9),
        Score("performance", 1.0),
    ),
    created=datetime(2025, 5, 1, 12, 30, 0, 123456, tzinfo=UTC),
    propensity=0.125,
    logprob=-0.25,
)
FAILED = Outcome("q2", "m", error="timeout", cost_usd=0.001, latency_s=60.0)


def test_an_outcome_comes_back_as_it_went_in(store: Store) -> None:
    assert store.append([FULL, FAILED]) == 2
    found = {(o.query_id, o.arm, o.sample): o for o in store.outcomes()}
    assert found["q2", "m", 0] == FAILED
    back = found["q1", "m|think", 3]
    assert set(back.scores) == set(FULL.scores)
    assert replace(back, scores=()) == replace(FULL, scores=())
    assert store.count() == 2
    assert [q.text for q in store.queries()] == ["One?", "Two?"]
    assert [(a.name, a.input_price) for a in store.arms()] == [
        ("m", 0.5),
        ("m|think", None),
        ("big", None),
    ]


def test_an_empty_append_is_nothing(store: Store) -> None:
    assert store.append([]) == 0
    assert list(store.outcomes()) == []
    with pytest.raises(StoreError, match="the store holds no outcomes of sample 0"):
        store.table()
    with pytest.raises(StoreError, match=r"the store holds no outcomes$"):
        store.table(sample=None)


def test_a_key_cannot_be_appended_twice(store: Store) -> None:
    store.append([Outcome("q1", "m")])
    with pytest.raises(
        StoreError, match="there already: query 'q1', arm 'm', sample 0; use upsert"
    ):
        store.append([Outcome("q2", "m"), Outcome("q1", "m")])
    assert store.keys() == {("q1", "m", 0)}
    with pytest.raises(StoreError, match="given twice: query 'q2', arm 'm', sample 1"):
        store.append([Outcome("q2", "m", 1), Outcome("q2", "m", 1)])


def test_upsert_replaces_the_outcome_and_its_scores(store: Store) -> None:
    store.append([FULL])
    again = replace(FULL, response="new", scores=(Score("performance", 0.5),))
    assert store.upsert([again, Outcome("q2", "big")]) == 2
    assert list(store.outcomes()) == [again, Outcome("q2", "big")]


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Outcome("q9", "m"), r"unknown query 'q9': add it with add_queries\(\) first"),
        (Outcome("q1", "nobody"), r"unknown arm 'nobody': add it with add_arms\(\) first"),
        (Outcome("q1", "m", cost_usd=float("inf")), "cost_usd of query 'q1', arm 'm' is inf"),
        (Outcome("q1", "m", cost_usd=-1.0), "a value breaks a rule of the store"),
        (Outcome("q1", "m", response="half a \ud83d"), "surrogates not allowed"),
    ],
)
def test_what_cannot_be_stored(store: Store, outcome: Outcome, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        store.append([Outcome("q2", "m"), outcome])
    assert store.count() == 0


def test_nan_is_missing(store: Store) -> None:
    store.append([Outcome("q1", "m", cost_usd=float("nan"), scores=(Score("performance", 0.5),))])
    assert next(store.outcomes()).cost_usd is None


def test_failed_outcomes_leave_cells_missing(store: Store) -> None:
    store.append([FAILED, Outcome("q1", "m", cost_usd=0.5, scores=(Score("performance", 1.0),))])
    table = store.table()
    np.testing.assert_array_equal(table.quality, [[1.0], [np.nan]])
    np.testing.assert_array_equal(table.cost_usd, [[0.5], [np.nan]])
    assert store.failures() == {"m": 1}
    assert store.keys() == {("q1", "m", 0), ("q2", "m", 0)}
    assert store.keys(failed=False) == {("q1", "m", 0)}


def test_samples(store: Store) -> None:
    def outcome(sample: int, score: float | None, text: str | None) -> Outcome:
        scores = () if score is None else (Score("performance", score),)
        return Outcome("q1", "m", sample, response=text, scores=scores)

    store.append(
        [outcome(2, 1.0, "c"), outcome(1, 0.5, "b"), outcome(0, 0.0, "a"), outcome(3, None, "d")]
    )
    store.append([Outcome("q2", "m", 1, error="no"), Outcome("q2", "m", 5, response="e")])
    table = store.table()
    assert (len(table), table.quality[0, 0]) == (1, 0.0)
    assert store.table(sample=2).quality[0, 0] == 1.0
    mean = store.table(sample=None)
    np.testing.assert_array_equal(mean.quality, [[0.5], [np.nan]])
    assert mean.responses is not None
    assert mean.responses[:, 0].tolist() == ["a", "e"]
    assert store.table(sample=None, responses=False).responses is None


def test_scores_of_several_scorers(store: Store) -> None:
    store.append([Outcome("q1", "m", scores=(Score("llm_judge", 0.2, "gpt", "1"),))])
    store.put_scores(
        "q1", "m", [Score("llm_judge", 0.8, "gpt", "2", "better"), Score("performance", 1)]
    )
    store.put_scores("q1", "m", [Score("style", 0.1, "rule", "1")])
    store.put_scores("q1", "m", [Score("style", 0.3, "rule", "1")])
    table = store.table()
    assert (table.judge[0, 0], table.quality[0, 0]) == (0.8, 1.0)
    (outcome,) = store.outcomes()
    assert {(s.name, s.version, s.value) for s in outcome.scores} == {
        ("llm_judge", "1", 0.2),
        ("llm_judge", "2", 0.8),
        ("performance", None, 1.0),
        ("style", "1", 0.3),
    }
    store.upsert(list(store.outcomes()))
    assert store.table().judge[0, 0] == 0.8
    store.append([FAILED])
    with pytest.raises(
        StoreError, match="a failed call has no scores: query 'q2', arm 'm', sample 0"
    ):
        store.put_scores("q2", "m", [Score("performance", 1.0)])
    with pytest.raises(StoreError, match="there is no outcome query 'q2', arm 'big', sample 4"):
        store.put_scores("q2", "big", [], sample=4)


def test_queries_and_arms_can_be_added_again(store: Store) -> None:
    store.add_queries([Query("q1", "One?", target="1"), Query("q3", "Three?")])
    first = next(store.queries())
    assert (first.target, first.task) == ("1", "t")
    store.add_arms([Arm("m", input_price=0.25, description="new"), Arm("m")])
    assert (store.arms()[0].input_price, store.arms()[0].description) == (0.25, "new")
    with pytest.raises(StoreError, match="query 'q1' is in the store with another text"):
        store.add_queries([Query("q4", "Four?"), Query("q1", "Uno?")])
    assert [query.id for query in store.queries()] == ["q1", "q2", "q3"]


def small_table() -> OutcomeTable:
    nan = np.nan
    cells: dict[str, Any] = {name: np.array([[0.5, nan], [nan, 1.0], [nan, nan]]) for name in CELLS}
    cells["logprob"] = -cells["logprob"]
    names = ["query_id", "query", "task", "domain", "target", "metric", "split", "description"]
    rows = [["t:1", "A?", "t", None, "x", None, None, None], ["t:2", "B?", "t", *[None] * 5]]
    queries = pl.DataFrame(
        [*rows, ["u:3", "C?", "u", *[None] * 5]],
        schema=dict.fromkeys(names, pl.String),
        orient="row",
    )
    responses = np.array([["yes", None], [None, ""], ["no", None]], dtype=object)
    return OutcomeTable(
        queries, (Arm("m", input_price=1.0), Arm("m", "think")), responses=responses, **cells
    )


def test_a_table_goes_in_and_comes_out(store: Store) -> None:
    table = small_table()
    assert store.write_table(table) == 3
    again = store.table()
    assert again.texts == table.texts
    assert again.arm_names == table.arm_names
    for name in CELLS:
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))
    assert again.responses is not None
    assert table.responses is not None
    assert again.responses.tolist() == table.responses.tolist()
    with pytest.raises(StoreError, match="there already: query 't:1', arm 'm', sample 0"):
        store.write_table(table)
    assert store.write_table(replace(table, quality=table.quality / 2), replace=True) == 3
    assert store.table().quality[0, 0] == 0.25
    assert store.write_table(table, sample=1) == 3
    assert store.table(sample=None).quality[0, 0] == 0.375
    assert store.count() == 6


def test_nominal_costs_are_not_stored_as_measured(store: Store) -> None:
    store.write_table(replace(small_table(), cost_basis="nominal"))
    assert store.table().cost_basis == "missing"


def test_a_frame_out_of_range_writes_nothing(store: Store) -> None:
    table = replace(small_table(), quality=np.full((3, 2), 1.5))
    for overwrite in (False, True):
        with pytest.raises(StoreError, match="a value breaks a rule of the store"):
            store.write_table(table, replace=overwrite)
    assert store.count() == 0
    assert len(list(store.queries())) == 2
    twice = pl.concat([small_table().to_long()] * 2)
    with pytest.raises(StoreError, match="given twice: query 't:1', arm 'm', sample 0"):
        store.write_frame(twice)


def test_a_frame_with_errors_samples_and_propensities(store: Store) -> None:
    long = small_table().to_long().with_columns(
        sample=pl.lit(4),
        error=pl.when(pl.col("arm") == "m|think").then(pl.lit("refused")),
        quality=pl.when(pl.col("arm") == "m").then("quality"),
        judge=pl.when(pl.col("arm") == "m").then("judge"),
        propensity=pl.lit(0.5),
    )  # fmt: skip
    store.write_frame(long)
    assert store.failures() == {"m|think": 2}
    assert {(o.sample, o.propensity) for o in store.outcomes()} == {(4, 0.5)}


def test_reading_streams_across_pages(store: Store) -> None:
    n = 11_000
    store.add_queries(Query(f"x{i}", f"{i}?") for i in range(n))
    store.append(Outcome(f"x{i}", "m", scores=(Score("style", i / n),)) for i in range(n))
    stream = store.outcomes()
    assert next(stream).query_id == "x0"
    store.append([Outcome("q1", "big")])  # a reader half-way holds no lock
    rest = list(stream)
    assert len(rest) == n - 1
    assert rest[-1].scores == (Score("style", (n - 1) / n),)
    assert sum(1 for _ in store.queries()) == n + 2


def test_threads_share_a_store(store: Store) -> None:
    def append(thread: int) -> None:
        for sample in range(10):
            store.append([Outcome("q1", "m", 100 * thread + sample)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(4)))
    assert store.count() == 40


def test_a_closed_store_says_so(store_url: str) -> None:
    store = Store(store_url)
    store.close()
    with pytest.raises(StoreError, match="the store is closed"):
        store.count()


def test_reopening_finds_everything(store_url: str) -> None:
    with Store(store_url) as store:
        store.write_table(small_table())
    with Store(store_url) as store:
        assert store.count() == 3


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    tokens=st.none() | st.integers(0, 10**9),
    cost=st.none() | st.floats(0, 1e6),
    logprob=st.none() | st.floats(-1e6, 0),
    scores=st.dictionaries(st.sampled_from(["performance", "llm_judge", "x"]), st.floats(0, 1)),
    failed=st.booleans(),
)
def test_any_outcome_round_trips(
    store: Store,
    text: str | None,
    tokens: int | None,
    cost: float | None,
    logprob: float | None,
    scores: dict[str, float],
    failed: bool,
) -> None:
    outcome = Outcome(
        "q1",
        "m",
        response=text,
        input_tokens=tokens,
        cost_usd=cost,
        logprob=logprob,
        error="e" if failed else None,
        scores=()
        if failed
        else tuple(Score(n, v) for n, v in sorted(scores.items(), reverse=True)),
    )
    store.upsert([outcome])
    (back,) = store.outcomes()
    assert sorted(back.scores, key=str) == sorted(outcome.scores, key=str)
    assert replace(back, scores=()) == replace(outcome, scores=())
