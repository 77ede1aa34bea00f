"""LargeTable: blocks, splits, samples and views agree with the table in memory, and stay small."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from fusionfactory.errors import TableError
from fusionfactory.large import LargeTable
from fusionfactory.large.rows import fingerprint, rechunk
from fusionfactory.pricing import with_usable_costs
from fusionfactory.table import CELLS, OutcomeTable
from large_folders import cut, gathered, outcomes, same

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

QUERIES = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gathered folder, and the same rows in `one.parquet` beside it."""
    root = tmp_path_factory.mktemp("large")
    frame = outcomes(QUERIES, responses=True)
    frame.write_parquet(root / "one.parquet")
    return gathered(cut(frame, root / "many", 3), root / "gathered").view.folder


@pytest.fixture
def large(folder: Path) -> LargeTable:
    return LargeTable.open(folder)


@pytest.fixture
def whole(folder: Path) -> OutcomeTable:
    return OutcomeTable.read(folder.parent / "one.parquet")


def ids(tables: Sequence[OutcomeTable] | OutcomeTable) -> list[str]:
    tables = [tables] if isinstance(tables, OutcomeTable) else tables
    return [name for table in tables for name in table.queries["query_id"]]


def in_order(table: OutcomeTable, names: list[str]) -> OutcomeTable:
    """The table's queries of these ids, in this order."""
    place = {name: row for row, name in enumerate(ids(table))}
    return table.rows(np.array([place[name] for name in names]))


# Describing


def test_it_says_what_the_table_in_memory_says(large: LargeTable, whole: OutcomeTable) -> None:
    assert len(large) == len(whole)
    assert large.arms == whole.arms
    assert large.task_names == tuple(sorted(set(whole.tasks)))
    assert large.cost_basis == whole.cost_basis
    assert large.n_outcomes == int(whole.observed().sum())
    np.testing.assert_array_equal(large.prices, whole.prices)
    has = (large.has_costs, large.has_judge, large.has_logprobs, large.has_responses)
    assert has == (True, True, False, True)
    np.testing.assert_allclose(large.sums.arm_quality(), whole.arm_quality(), rtol=1e-9)
    assert large.sums.coverage() == pytest.approx(whole.coverage())


# Blocks


def test_blocks_hold_every_query_once_and_whole(large: LargeTable, whole: OutcomeTable) -> None:
    blocks = list(large.blocks(responses=True, block_queries=50))
    assert max(map(len, blocks)) <= 50
    assert sorted(ids(blocks)) == sorted(ids(whole))
    for block in blocks:
        assert same(block, in_order(whole, ids(block)))


def test_the_order_of_blocks_does_not_depend_on_how_they_are_cut(large: LargeTable) -> None:
    names = ids(list(large.blocks()))
    for size in (1, 7, 10_000):
        assert ids(list(large.blocks(block_queries=size))) == names


def test_only_the_columns_asked_for_are_there(large: LargeTable, whole: OutcomeTable) -> None:
    block = next(large.blocks(("judge", "query")))
    expected = in_order(whole, ids(block))
    np.testing.assert_array_equal(block.judge, expected.judge)
    assert block.texts == expected.texts
    assert block.responses is None
    assert all(np.isnan(getattr(block, name)).all() for name in CELLS if name != "judge")
    assert block.queries["task"].to_list() == expected.queries["task"].to_list()
    with pytest.raises(TableError, match=r"unknown column 'price'; there are quality, judge"):
        next(large.blocks(("price",)))


def test_views_agree_with_the_table_in_memory(large: LargeTable, whole: OutcomeTable) -> None:
    assert same(
        large.select_arms(["large", "small"]).collect(), whole.select_arms(["large", "small"])
    )
    assert same(large.judged().collect(), whole.judged())
    assert large.with_usable_costs() is large
    with pytest.raises(TableError, match="unknown arm 'huge'; the table has small, large"):
        large.select_arms(["huge"])


def test_nominal_costs_stand_in_where_there_are_none(tmp_path: Path) -> None:
    frame = outcomes(60).drop("cost", "llm_judge")
    frame.write_parquet(tmp_path / "one.parquet")
    large = gathered(cut(frame, tmp_path / "many", 2), tmp_path / "gathered")
    assert (large.cost_basis, large.has_costs) == ("missing", False)
    usable = large.with_usable_costs()
    assert (usable.cost_basis, usable.has_costs) == ("nominal", True)
    expected = with_usable_costs(OutcomeTable.read(tmp_path / "one.parquet"))
    assert same(usable.collect(), expected)
    narrow = next(usable.blocks(("cost_usd",)))
    np.testing.assert_array_equal(narrow.cost_usd, in_order(expected, ids(narrow)).cost_usd)
    with pytest.raises(TableError, match="the table has no judge scores"):
        large.judged()


# Splits


def test_a_split_puts_near_duplicates_on_one_side(tmp_path: Path) -> None:
    frame = outcomes(300).filter(pl.col("llm") != "small_think")
    shouted = frame.with_columns(
        query=pl.col("query").str.to_uppercase() + "?!", task_id=pl.col("task_id") + "b"
    )
    large = gathered(cut(pl.concat([frame, shouted]), tmp_path / "many", 2), tmp_path / "gathered")
    parts = large.split(test=0.3, validation=0.2, seed=1)
    sides = [parts.train, parts.validation, parts.test]
    names = [set(ids(list(side.blocks()))) for side in sides]
    assert [len(side) for side in sides] == [len(found) for found in names]
    assert sum(map(len, names)) == len(large) == 600
    for found in names:
        assert {name.removesuffix("b") for name in found} == found - {
            n for n in found if n[-1] == "b"
        }
    assert 0.2 < len(parts.test) / 600 < 0.4
    assert 0.1 < len(parts.validation) / 600 < 0.3


def test_a_query_stays_on_its_side_when_the_table_grows(tmp_path: Path, large: LargeTable) -> None:
    grown = gathered(cut(outcomes(QUERIES + 300), tmp_path / "many", 1), tmp_path / "gathered")
    before = set(ids(list(large.split(seed=3).test.blocks())))
    after = set(ids(list(grown.split(seed=3).test.blocks())))
    assert before < after
    assert before == after & set(ids(list(large.blocks())))
    assert before != set(ids(list(large.split(seed=4).test.blocks())))


def test_a_split_can_be_split_again(large: LargeTable) -> None:
    outer = large.split(test=0.3)
    inner = outer.train.split(test=0.3)
    assert len(inner.train) + len(inner.test) == len(outer.train)
    assert 0.2 < len(inner.test) / len(outer.train) < 0.4
    assert inner.validation is inner.train
    tested = set(ids(list(inner.test.blocks())))
    assert not tested & set(ids(list(outer.test.blocks())))


def test_shares_that_cannot_be_are_refused(large: LargeTable) -> None:
    with pytest.raises(TableError, match=r"test=0\.7 and validation=0\.3 must be shares"):
        large.split(test=0.7, validation=0.3)
    with pytest.raises(TableError, match=r"600 queries are too few for test=1e-09"):
        large.split(test=1e-9)


# Samples


def test_a_sample_does_not_depend_on_files_and_their_order(
    tmp_path: Path, large: LargeTable
) -> None:
    shuffled = outcomes(QUERIES, responses=True).sample(fraction=1, shuffle=True, seed=5)
    other = gathered(cut(shuffled, tmp_path / "many", 5), tmp_path / "gathered", parts=2)
    sample = large.sample(100, seed=2)
    assert len(sample) == 100
    assert same(other.select_arms(large.arm_names).sample(100, seed=2), sample)
    assert set(ids(large.sample(100, seed=3))) != set(ids(sample))
    assert set(ids(large.sample(50, seed=2))) < set(ids(sample))
    assert len(large.sample(10**6)) == QUERIES
    assert large.sample(3, columns=("query",)).texts == large.sample(3).texts
    with pytest.raises(TableError, match="at least one query, got 0"):
        large.sample(0)


def test_every_query_is_as_likely_in_a_sample(large: LargeTable) -> None:
    test = large.split(seed=0).test
    times: dict[str, int] = dict.fromkeys(ids(list(test.blocks())), 0)
    for seed in range(100):
        for name in ids(test.sample(40, seed, columns=())):
            times[name] += 1
    found, share = np.array(list(times.values())), 40 / len(test)
    assert found.sum() == 4000
    # Binomial counts: their spread is that of draws that know nothing of one another.
    assert found.std() == pytest.approx(np.sqrt(100 * share * (1 - share)), rel=0.25)


def test_queries_whose_ids_are_their_texts_are_told_apart(tmp_path: Path) -> None:
    text = pl.concat_str(pl.lit("question "), "task_id")
    frame = outcomes(60).filter(pl.col("llm") != "small_think")
    frame = frame.with_columns(query=text, query_id=text)
    large = gathered(cut(frame, tmp_path / "many", 2), tmp_path / "gathered")
    assert len(large.sample(10)) == 10


# Fingerprints


def test_the_fingerprint_is_that_of_the_content(
    tmp_path: Path, large: LargeTable, whole: OutcomeTable
) -> None:
    assert large.fingerprint() == whole.fingerprint()
    changed = outcomes(QUERIES, responses=True).with_columns(
        response=pl.when(pl.col("task_id") == "7").then(pl.lit("else")).otherwise("response")
    )
    other = gathered(cut(changed, tmp_path / "many", 1), tmp_path / "gathered")
    assert other.fingerprint() != large.fingerprint()
    test = large.split().test
    assert test.fingerprint() == test.collect().fingerprint() != large.fingerprint()


def test_a_long_table_has_one_fingerprint_however_it_is_cut(
    large: LargeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_DIGESTED_QUERIES", 64), ("_DIGESTED_LETTERS", 4000)):
        monkeypatch.setattr(f"fusionfactory.large.rows.{name}", value)
    found = {
        fingerprint(large.blocks(responses=True, block_queries=size), CELLS) for size in (1, 9, 999)
    }
    assert len(found) == 1
    lengths = [
        (len(table), sum(len(text) for text in table.responses.ravel() if text))
        for table in rechunk(large.blocks(responses=True), 64, 4000)
        if table.responses is not None
    ]
    assert sum(queries for queries, _ in lengths) == QUERIES
    assert all(queries == 1 or letters <= 4000 for queries, letters in lengths)


# Memory


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """Texts of 330 MB are gathered and read in less than half of that."""
    rows, width, files = 36_000, 10_000, 4
    (tmp_path / "many").mkdir()
    for number in range(files):
        frame = outcomes(rows // files // 3, seed=number)
        start = (pl.col("task_id").cast(pl.Int64) * 7919 + number) % 89
        frame = frame.with_columns(
            task_id=pl.lit(f"{number}-") + pl.col("task_id"),
            query=pl.lit(f"{number} ") + pl.col("query"),
            response=(pl.lit("x") + start.cast(pl.String)).repeat_by(width // 3).list.join(""),
        )
        frame.write_parquet(tmp_path / "many" / f"{number}.parquet", row_group_size=1_000)
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from fusionfactory.large import LargeTable, gather\n"
        "def peak():\n"
        "    told = Path('/proc/self/status').read_text()\n"
        "    return int(re.search(r'VmHWM:\\s+(\\d+) kB', told)[1]) * 1024\n"
        "before = peak()\n"
        "large = LargeTable.open(gather(sys.argv[1], sys.argv[2], part_bytes=12 * 2**20))\n"
        "letters = sum(sum(map(len, filter(None, block.responses.ravel())))\n"
        "              for block in large.blocks(responses=True))\n"
        "large.split(seed=1).train.sample(1000); large.sums\n"
        "print(letters, peak() - before)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "many"), str(tmp_path / "gathered")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    letters, taken = map(int, done.stdout.split())
    assert letters > 300 * 10**6
    assert taken < letters / 2


def test_a_sample_holds_its_own_texts_alone(tmp_path: Path) -> None:
    """Not those of the parts that it was drawn from, which have 30 MB."""
    frame = outcomes(3_000, seed=1)
    frame = frame.with_columns(query=pl.col("query") + pl.lit("x" * 10_000))
    folder = gathered(cut(frame, tmp_path / "many", 4), tmp_path / "gathered").view.folder
    code = (
        "import gc, re, sys\n"
        "from pathlib import Path\n"
        "from fusionfactory.large import LargeTable\n"
        "def held():\n"
        "    gc.collect()\n"
        "    told = Path('/proc/self/status').read_text()\n"
        "    return int(re.search(r'RssAnon:\\s+(\\d+) kB', told)[1]) * 1024\n"
        "large = LargeTable.open(sys.argv[1])\n"
        "first = large.sample(10)\n"
        "before = held()\n"
        "others = [large.sample(100, seed=seed) for seed in range(1, 4)]\n"
        "print(held() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 25 * 10**6
