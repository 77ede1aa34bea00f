"""What neighbours have in common, and the vectors that make them neighbours."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from fusionfactory.encoders import make_encoder
from fusionfactory.errors import InputError, NotFittedError, ThoughtError
from fusionfactory.table import CELLS, QUERY_COLUMNS, OutcomeTable
from fusionfactory.thoughts.search.index import ThoughtIndex
from fusionfactory.thoughts.search.retrieval import retrieval_quality
from fusionfactory.thoughts.search.similarity import SimilarityEncoder
from fusionfactory.thoughts.template import Source, ThoughtTemplate
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.types import FloatArray

KINDS, TASKS, ARMS = 8, 4, 5


def table_of(count: int = 400, noise: float = 0.0) -> tuple[OutcomeTable, FloatArray]:
    """Queries of eight kinds, two in each of four tasks; the kind decides which arms are right."""
    rng = np.random.default_rng(0)
    kind = np.arange(count) % KINDS
    right = rng.integers(0, 2, (KINDS, ARMS)).astype(float)
    right[:, 0], right[:, 1] = [0, 1] * (KINDS // 2), [1, 0] * (KINDS // 2)
    quality = np.where(rng.random((count, ARMS)) < noise, rng.random((count, ARMS)), right[kind])
    cells: dict[str, Any] = {name: np.full((count, ARMS), np.nan) for name in CELLS}
    cells["quality"] = quality
    columns = {name: [""] * count for name in QUERY_COLUMNS} | {
        "query_id": [f"q{i}" for i in range(count)],
        "query": [f"question number {i}" for i in range(count)],
        "task": [f"task{k // 2}" for k in kind],
        "domain": [f"domain{k // 4}" if k < 4 else None for k in kind],
    }
    frame = pl.DataFrame(columns, schema=dict.fromkeys(QUERY_COLUMNS, pl.String))
    vectors = np.eye(KINDS)[kind] + 0.05 * rng.normal(size=(count, KINDS))
    return OutcomeTable(frame, tuple(Arm(f"m{i}") for i in range(ARMS)), **cells), vectors


def test_neighbours_of_one_kind_have_everything_in_common() -> None:
    table, vectors = table_of()
    told = retrieval_quality(table, vectors, k=3, draws=200)
    assert (told.queries, told.bank, told.k) == (400, 400, 3)
    assert told.similarity > 0.95
    assert told.task.nearest == told.domain.nearest == 1
    assert told.best_arms.nearest == pytest.approx(1)
    assert told.quality.nearest == told.advantage.nearest == pytest.approx(1)
    assert told.task.random == pytest.approx(1 / TASKS, abs=0.05)
    assert told.domain.random == pytest.approx(1 / 2, abs=0.3)
    assert told.task.same_task == 1
    assert told.task.above_same_task == (0, 0)
    assert abs(told.quality.random) < 0.1
    assert told.quality.random < told.quality.same_task < 1
    low, high = told.quality.above_same_task
    assert 0 < low < told.quality.nearest - told.quality.same_task < high


def test_vectors_that_know_nothing_find_what_chance_finds() -> None:
    table, _ = table_of(noise=0.5)
    nothing = np.random.default_rng(1).normal(size=(len(table), 30))
    told = retrieval_quality(table, nothing, draws=200)
    for name in ("task", "best_arms", "quality", "advantage"):
        contrast = getattr(told, name)
        low, high = contrast.above_random
        assert low < 0 < high, name
    within = retrieval_quality(table, nothing, within_task=True, draws=200)
    assert within.task.nearest == 1
    low, high = within.quality.above_same_task
    assert low < 0 < high
    assert within.quality.above_random[0] > 0


def test_only_the_bank_is_found_and_no_near_duplicate() -> None:
    table, vectors = table_of(80)
    texts = table.texts
    texts[1:80:2] = [f"{text.upper()}!" for text in texts[0:80:2]]
    table.queries.replace_column(1, pl.Series("query", texts))
    vectors[1::2] = vectors[::2]
    told = retrieval_quality(table, vectors, k=1, draws=20)
    assert told.similarity < 1 - 1e-4
    bank = np.arange(80) % 2 == 0
    half = retrieval_quality(table, vectors, k=1, bank=bank, draws=20)
    assert (half.queries, half.bank) == (40, 40)
    assert half.similarity < 1 - 1e-4


def test_missing_cells_and_alien_tasks_are_not_counted() -> None:
    table, vectors = table_of(160)
    quality = np.array(table.quality)
    quality[::3, 2] = np.nan
    quality[5] = np.nan
    cells = {name: getattr(table, name) for name in CELLS} | {"quality": quality}
    told = retrieval_quality(OutcomeTable(table.queries, table.arms, **cells), vectors, draws=50)
    assert told.quality.nearest == pytest.approx(1)
    bank = np.asarray(table.tasks == "task0")
    other = retrieval_quality(table, vectors, bank=bank, draws=50)
    assert other.task.nearest == 0
    assert math.isnan(other.task.same_task)
    assert all(math.isnan(side) for side in other.quality.above_same_task)
    within = retrieval_quality(table, vectors, bank=bank, within_task=True, draws=50)
    assert math.isnan(within.similarity)
    assert math.isnan(within.quality.nearest)


def test_equal_calls_say_the_same() -> None:
    table, vectors = table_of(noise=0.3)
    one, other = (asdict(retrieval_quality(table, vectors, draws=50, seed=3)) for _ in range(2))
    assert one == other


def test_what_does_not_fit_the_table() -> None:
    table, vectors = table_of(40)
    with pytest.raises(ThoughtError, match=r"has shape \(39, 8\), expected \(40, d\)"):
        retrieval_quality(table, vectors[1:])
    with pytest.raises(ThoughtError, match=r"has shape \(3,\), expected \(40,\)"):
        retrieval_quality(table, vectors, bank=np.ones(3, dtype=bool))
    with pytest.raises(ThoughtError, match="0 queries ask and 40 can be found"):
        retrieval_quality(table, vectors, bank=np.ones(40, dtype=bool))


# Vectors

TEXTS = [f"How many apples are {i} and {i + 1}?" for i in range(12)] + [
    f"Which of the {i} rivers of Europe is longest?" for i in range(12)
]


def test_words_count_and_the_surface_little() -> None:
    encoder = SimilarityEncoder(encoder="text").fit(TEXTS)
    rows = encoder.encode(TEXTS)
    assert rows.dtype == np.float32
    assert encoder.encode([]).shape == (0, rows.shape[1])
    plain = make_encoder("text").fit(TEXTS)
    kinds = dict(plain.blocks(plain.encode(TEXTS).shape[1]))
    assert rows.shape[1] == kinds["words"] + kinds["surface"]
    assert encoder.clone().params() == {"encoder": "text"}
    assert not encoder.clone().is_fitted


def test_an_embedding_stays_as_it_is() -> None:
    encoder = SimilarityEncoder(encoder="hashing:64").fit(TEXTS)
    given = make_encoder("hashing:64")
    np.testing.assert_allclose(encoder.encode(TEXTS), given.encode(TEXTS), atol=1e-6)


def test_unfitted_or_without_texts() -> None:
    with pytest.raises(NotFittedError, match="SimilarityEncoder is not fitted"):
        SimilarityEncoder().encode(["a"])
    with pytest.raises(InputError, match="cannot be fitted on none"):
        SimilarityEncoder().fit([])


def test_it_is_saved_with_the_index_and_an_endpoint_inside_is_found_out(tmp_path: Path) -> None:
    bank = [
        ThoughtTemplate(f"Note {i}.", text, "7", (Source(f"q{i}", "m"),), ("judge",), "w", "1", "t")
        for i, text in enumerate(TEXTS)
    ]
    encoder = SimilarityEncoder(encoder="text").fit(TEXTS)
    ThoughtIndex.build(bank, encoder.encode(TEXTS), encoder).save(tmp_path)
    again = ThoughtIndex.load(tmp_path).encoder
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    encoder.encoder_ = make_encoder("endpoint:some-model@http://127.0.0.1:9/v1")
    ThoughtIndex.build(bank, again.encode(TEXTS), encoder).save(tmp_path)
    with pytest.raises(ThoughtError, match=r"sends queries to 'http://127\.0\.0\.1:9/v1'"):
        ThoughtIndex.load(tmp_path)
