"""The exact kernel finds what sorting every row would find, ties and bans included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfactory.thoughts.search import nearest as module
from fusionfactory.thoughts.search.bans import bans
from fusionfactory.thoughts.search.nearest import nearest, ranked
from fusionfactory.thoughts.search.screen import Screen

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray, IntArray


def unit(vectors: FloatArray | IntArray) -> FloatArray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def sorted_naively(
    rows: FloatArray, queries: FloatArray, k: int, rank: IntArray, excluded: list[list[int]]
) -> tuple[IntArray, FloatArray]:
    found = np.full((len(queries), k), -1)
    scores = np.full((len(queries), k), np.nan)
    for number, query in enumerate(queries):
        every = (rows.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
        order = np.lexsort((rank, -every))
        order = order[~np.isin(order, excluded[number])][:k]
        found[number, : len(order)], scores[number, : len(order)] = order, every[order]
    return found, scores


@st.composite
def searches(draw: st.DrawFn) -> tuple[FloatArray, FloatArray, int, IntArray, list[list[int]]]:
    n, q = draw(st.integers(0, 300)), draw(st.integers(0, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    d = draw(st.sampled_from([2, 3, 17]))
    if draw(st.booleans()):  # few different rows: ties everywhere
        rows, queries = unit(rng.integers(-1, 2, (n, d))), unit(rng.integers(-1, 2, (q, d)))
    else:
        rows, queries = unit(rng.normal(size=(n, d))), unit(rng.normal(size=(q, d)))
    most = min(n, draw(st.sampled_from([0, 3, 300])))
    excluded = [rng.permutation(n)[: rng.integers(0, most + 1)].tolist() for _ in range(q)]
    k = draw(st.sampled_from([1, 2, 5, 50, 400]))
    return rows, queries, k, rng.permutation(n), excluded


SIZES = ("_TILE", "_QUERIES", "_SCORES", "_PAIRS", "_LARGEST_BLOCK")


@given(searches(), st.sampled_from([(1 << 18, 256, 1 << 25, 1 << 10, 64), (7, 3, 700, 3, 2)]))
@settings(max_examples=150, deadline=None)
def test_it_finds_what_sorting_everything_finds(
    search: tuple[FloatArray, FloatArray, int, IntArray, list[list[int]]],
    sizes: tuple[int, ...],
) -> None:
    rows, queries, k, rank, excluded = search
    with pytest.MonkeyPatch.context() as patch:
        for name, size in zip(SIZES, sizes, strict=True):
            patch.setattr(module, name, size)
        found, scores = nearest(rows, queries, k, rank, bans(excluded))
        for name in ("_MOST_BLOCKS", "_MOST_LEFT"):
            patch.setattr(module, name, 1.0)
        screened = nearest(rows, queries, k, rank, bans(excluded), Screen.of(rows))
    expected, expected_scores = sorted_naively(rows, queries, k, rank, excluded)
    for one, other in ((found, scores), screened):
        np.testing.assert_array_equal(one, expected)
        np.testing.assert_array_equal(other, expected_scores)


def narrow(count: int, rng: np.random.Generator) -> FloatArray:
    """Rows that vary in few directions, as embeddings do."""
    return unit(rng.normal(size=(count, 60)) * np.arange(1, 61) ** -1.5)


def test_a_screen_leaves_few_rows_and_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    rows, queries, rank = narrow(6000, rng), narrow(50, rng), rng.permutation(6000)
    excluded = [rng.permutation(6000)[:20].tolist() for _ in range(50)]
    expected, expected_scores = nearest(rows, queries, 4, rank, bans(excluded))

    def plain(*_: object) -> None:
        msg = "every row was compared"
        raise AssertionError(msg)

    monkeypatch.setattr(module._Search, "plain", plain)
    found, scores = nearest(rows, queries, 4, rank, bans(excluded), Screen.of(rows))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(scores, expected_scores)
    everywhere = unit(rng.normal(size=(6000, 60)))
    with pytest.raises(AssertionError, match="every row was compared"):
        nearest(everywhere, queries, 4, rank, bans(None), Screen.of(everywhere))


def test_a_screen_bounds_every_product() -> None:
    rng = np.random.default_rng(6)
    rows, queries = narrow(500, rng), narrow(40, rng)
    rows[3] = 0
    screen = Screen.of(rows)
    assert screen.rows.shape == (500, 31)
    bounds = screen.rows @ screen.turned(queries).T
    exact = rows.astype(np.float64) @ queries.astype(np.float64).T
    assert (bounds >= exact).all()
    assert (bounds - exact).mean() < 0.1
    some = screen.part(slice(100, 110))
    np.testing.assert_array_equal(some.rows, screen.rows[100:110])


def test_many_rows_in_many_blocks() -> None:
    rng = np.random.default_rng(0)
    rows, queries = unit(rng.normal(size=(8197, 24))), unit(rng.normal(size=(40, 24)))
    rank = rng.permutation(8197)
    excluded = [rng.permutation(8197)[:30].tolist() for _ in range(40)]
    first, _ = nearest(rows, queries, 5, rank, bans(None))
    for number in range(40):
        excluded[number] += first[number, ::2].tolist()
    found, scores = nearest(rows, queries, 5, rank, bans(excluded))
    expected, expected_scores = sorted_naively(rows, queries, 5, rank, excluded)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(scores, expected_scores)


def test_equal_rows_tie_wherever_they_stand() -> None:
    rng = np.random.default_rng(1)
    rows = unit(rng.normal(size=(5000, 383)))
    twins = rng.permutation(5000)[:200]
    rows[twins] = rows[twins[0]]
    rank = rng.permutation(5000)
    query = unit(rows[twins[:1]] + 0.03 * rng.normal(size=(1, 383)).astype(np.float32))
    found, scores = nearest(rows, query, 20, rank, bans(None))
    assert len(set(scores[0])) == 1
    assert found[0].tolist() == sorted(twins.tolist(), key=lambda row: rank[row])[:20]


def test_a_query_finds_the_same_alone_and_among_others() -> None:
    rng = np.random.default_rng(2)
    rows, queries = unit(rng.normal(size=(3000, 100))), unit(rng.normal(size=(300, 100)))
    rank = np.arange(3000)
    together = nearest(rows, queries, 4, rank, bans(None))
    for number in (0, 7, 256, 299):
        alone = nearest(rows, queries[number : number + 1], 4, rank, bans(None))
        np.testing.assert_array_equal(alone[0][0], together[0][number])
        np.testing.assert_array_equal(alone[1][0], together[1][number])


def test_candidates_are_ranked_as_everything_is() -> None:
    rng = np.random.default_rng(3)
    rows, queries = unit(rng.integers(-1, 2, (60, 3))), unit(rng.normal(size=(8, 3)))
    rank, excluded = rng.permutation(60), [[i, i + 1] for i in range(8)]
    everything = np.array([rng.permutation(60) for _ in range(8)])
    found, scores = ranked(rows, queries, everything, 7, rank, bans(excluded))
    expected, expected_scores = nearest(rows, queries, 7, rank, bans(excluded))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(scores, expected_scores)
    none = np.full((8, 4), -1)
    assert (ranked(rows, queries, none, 2, rank, bans(None))[0] == -1).all()


def test_bans_of_parts_are_in_the_numbers_of_the_parts() -> None:
    banned = bans([[5, 2], [], [9, 5], [4]])
    assert banned.rows.tolist() == [2, 4, 5, 5, 9]
    some = banned.within(slice(4, 9), slice(2, 4))
    assert sorted(zip(some.rows.tolist(), some.queries.tolist(), strict=True)) == [(0, 1), (1, 0)]
    picked = banned.within(slice(0, 10), np.array([0, 2]))
    pairs = sorted(zip(picked.rows.tolist(), picked.queries.tolist(), strict=True))
    assert pairs == [(2, 0), (5, 0), (5, 1), (9, 1)]
