"""OutcomeTable: files, selections, splits, coverage and fingerprints."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import TableError
from fusionfactory.missing import adjusted_means
from fusionfactory.table import CELLS, QUERY_COLUMNS, OutcomeTable
from fusionfactory.types import Arm

NAN = np.nan
SHARED = Path(__file__).parents[2] / "shared" / "data"


def make(
    quality: Any,  # noqa: ANN401  anything NumPy makes an array of
    *,
    texts: list[str] | None = None,
    tasks: list[str] | None = None,
    arms: list[Arm] | None = None,
    **given: Any,  # noqa: ANN401  fields of OutcomeTable
) -> OutcomeTable:
    """A table with these qualities and nothing else but what is given."""
    quality = np.asarray(quality, dtype=float)
    n, m = quality.shape
    tasks = tasks or ["t"] * n
    queries = pl.DataFrame(
        {
            "query_id": [f"{task}:{i}" for i, task in enumerate(tasks)],
            "query": texts or [f"Question {i}?" for i in range(n)],
            "task": tasks,
            **dict.fromkeys(QUERY_COLUMNS[3:]),
        },
        schema=dict.fromkeys(QUERY_COLUMNS, pl.String),
    )
    cells = {name: np.full((n, m), NAN) for name in CELLS} | {"quality": quality}
    return OutcomeTable(queries, tuple(arms or map(Arm, "abcdefgh"[:m])), **(cells | given))


def again(table: OutcomeTable, tmp_path: Path) -> OutcomeTable:
    table.write(tmp_path / "t.parquet")
    return OutcomeTable.read(tmp_path / "t.parquet")


# Reading and writing


def test_missing_cells_stay_missing(tmp_path: Path) -> None:
    table = make([[1.0, NAN], [NAN, 0.0]])
    back = again(table, tmp_path)
    np.testing.assert_array_equal(back.quality, table.quality)
    assert back.fingerprint() == table.fingerprint()
    assert back.responses is None


def test_queries_and_arms_without_outcomes_stay(tmp_path: Path) -> None:
    table = make([[NAN, 0.5, NAN], [NAN, NAN, NAN], [NAN, 1.0, NAN]])
    back = again(table, tmp_path)
    assert back.arm_names == table.arm_names
    assert back.texts == table.texts
    np.testing.assert_array_equal(back.quality, table.quality)
    assert back.fingerprint() == table.fingerprint()


def test_a_table_of_nothing_known_round_trips(tmp_path: Path) -> None:
    table = make([[NAN, NAN]])
    assert again(table, tmp_path).fingerprint() == table.fingerprint()


def test_ids_tasks_and_names_of_any_kind_round_trip(tmp_path: Path) -> None:
    table = make([[1.0, 0.0]] * 3, arms=[Arm("x_think"), Arm("x_think", "think")])
    queries = table.queries.with_columns(
        query_id=pl.Series(["own id", "u:v:1", "t:2"]),
        task=pl.Series([None, "u", "t"], dtype=pl.String),
    )
    table = replace(table, queries=queries)
    back = again(table, tmp_path)
    assert back.queries.equals(queries)
    assert back.arm_names == ("x_think", "x_think|think")
    assert list(back.tasks) == ["", "u", "t"]
    assert back.fingerprint() == table.fingerprint()


def test_the_basis_of_costs_is_kept(tmp_path: Path) -> None:
    table = make([[1.0]], cost_usd=np.array([[0.5]]), cost_basis="nominal")
    assert again(table, tmp_path).cost_basis == "nominal"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
known = st.none() | texts
share = st.floats(0, 1) | st.just(NAN)
positive = st.floats(0, 1e9) | st.just(NAN)


@st.composite
def tables(draw: st.DrawFn) -> OutcomeTable:
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 4))

    def cells(values: st.SearchStrategy[float]) -> np.ndarray:
        return draw(hnp.arrays(np.float64, (n, m), elements=values))

    names = st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="|"), min_size=1, max_size=6
    )
    models = st.tuples(names.filter(str.strip), st.sampled_from(["direct", "think", "thought:1"]))
    pairs = draw(st.lists(models, min_size=m, max_size=m, unique=True))
    prices = st.none() | st.floats(0, 100)
    arms = [Arm(a, b, draw(prices), draw(prices), draw(known)) for a, b in pairs]
    ids = draw(st.lists(texts, min_size=n, max_size=n, unique=True))
    queries = pl.DataFrame(
        {
            "query_id": ids,
            "query": [draw(texts) for _ in ids],
            "task": [draw(st.none() | st.sampled_from(["t", "a:b", "a"])) for _ in ids],
            **{name: [draw(known) for _ in ids] for name in QUERY_COLUMNS[3:]},
        },
        schema=dict.fromkeys(QUERY_COLUMNS, pl.String),
    )
    responses = np.empty((n, m), dtype=object)
    for index in np.ndindex(n, m):
        responses[index] = draw(known)
    numbers: dict[str, Any] = {
        name: cells(share if name in {"quality", "judge"} else positive) for name in CELLS
    }
    numbers["cost_usd"] = cells(st.floats(0, 1000) | st.just(NAN))
    numbers["logprob"] = cells(st.floats(-1000, 0) | st.just(NAN))
    return OutcomeTable(queries, tuple(arms), responses=responses, **numbers)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=tables())
def test_any_table_has_one_fingerprint_before_and_after(
    table: OutcomeTable, tmp_path_factory: pytest.TempPathFactory
) -> None:
    back = again(table, tmp_path_factory.mktemp("any"))
    assert back.fingerprint() == table.fingerprint()
    assert back.arm_names == table.arm_names
    assert back.queries["query_id"].to_list() == table.queries["query_id"].to_list()
    np.testing.assert_array_equal(back.quality, table.quality)
    np.testing.assert_allclose(back.cost_usd, table.cost_usd, atol=1e-12)


@pytest.mark.parametrize("cut", [0, 3, 100, -1, -9])
def test_a_truncated_file_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "t.parquet"
    make([[1.0]]).write(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(
        TableError, match=r"t\.parquet: cannot be read as Parquet .* is it complete"
    ):
        OutcomeTable.read(path)


def test_an_absent_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"absent\.parquet: no such file"):
        OutcomeTable.read(tmp_path / "absent.parquet")
    with pytest.raises(TableError, match="is a folder, expected a file"):
        OutcomeTable.read(tmp_path)


def test_a_duplicate_cell_names_both_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = [("t", "a?", "m"), ("t", "b?", "m"), ("t", "a?", "m")]
    pl.DataFrame(rows, schema=["task_name", "query", "llm"], orient="row").write_parquet(path)
    with pytest.raises(TableError, match=r"t\.parquet, row 3: duplicate cell: arm 'm' .* in row 1"):
        OutcomeTable.read(path)


def test_the_first_known_attribute_counts(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = [("t", "a?", "m", None, None), ("t", "a?", "n", "x", 0.5), ("t", "b?", "m", None, 0.25)]
    schema = ["task_name", "query", "llm", "ground_truth", "input_price"]
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(path)
    table = OutcomeTable.read(path)
    assert table.queries["target"].to_list() == ["x", None]
    np.testing.assert_array_equal(table.prices, [[0.25, NAN], [0.5, NAN]])


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "t.txt"
    write_atomically(path, lambda target: target.write_text("first"))

    def fail(target: Path) -> None:
        target.write_text("half")
        msg = "disk full"
        raise OSError(msg)

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "first"
    assert [file.name for file in path.parent.iterdir()] == ["t.txt"]


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    make([[1.0]]).write(tmp_path / "t.parquet")
    (tmp_path / "plain").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("t.parquet", "plain")]
    assert modes[0] == modes[1]


# Making


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": (Arm("a"), Arm("a"))}, "field 'arms': two arms have one name"),
        ({"judge": np.zeros((2, 3))}, r"field 'judge': has shape \(2, 3\), expected \(2, 2\)"),
        ({"arms": ()}, "needs queries and arms, got 2 by 0"),
    ],
)
def test_malformed_tables(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        replace(make([[1.0, 0.0], [0.0, 1.0]]), **change)


def test_no_queries() -> None:
    with pytest.raises(TableError, match="needs queries and arms, got 0 by 1"):
        make([[1.0]]).rows(np.array([], dtype=int))


# Selecting


def test_rows_by_index_and_by_mask() -> None:
    table = make([[0.0], [0.5], [1.0]], responses=np.array([["x"], ["y"], [None]], dtype=object))
    assert table.rows(np.array([2, 0])).quality[:, 0].tolist() == [1.0, 0.0]
    masked = table.rows(np.array([False, True, False]))
    assert masked.texts == ["Question 1?"]
    assert masked.responses is not None
    assert masked.responses.tolist() == [["y"]]


def test_select_arms_in_the_order_asked() -> None:
    table = make([[0.0, 0.5, 1.0]])
    assert table.select_arms(["c", "a"]).quality.tolist() == [[1.0, 0.0]]
    with pytest.raises(TableError, match="field 'arms': unknown arm 'z'; the table has a, b, c"):
        table.select_arms(["a", "z"])
    with pytest.raises(TableError, match="two arms have one name"):
        table.select_arms(["a", "a"])


def test_judged() -> None:
    table = make([[0.0, 1.0]], judge=np.array([[0.7, NAN]]))
    np.testing.assert_array_equal(table.judged().quality, [[0.7, NAN]])
    with pytest.raises(TableError, match="field 'llm_judge': the table has no judge scores"):
        make([[1.0]]).judged()


def test_near_duplicates_share_a_group() -> None:
    near = ["What is 2 + 2?", "what is 2+2", "WHAT IS 2  2!", "What is 3?", "?!", "!?", ""]
    groups = make([[1.0]] * len(near), texts=near).groups()
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups[2:].tolist())) == 5


@settings(max_examples=50, deadline=None)
@given(
    labels=st.lists(st.integers(0, 12), min_size=12, max_size=60),
    seed=st.integers(0, 99),
    validation=st.sampled_from([0.0, 0.2]),
)
def test_splits_keep_near_duplicates_together(
    labels: list[int], seed: int, validation: float
) -> None:
    table = make(
        [[1.0]] * len(labels), texts=[f"Query no. {x}{'?' * (i % 3)}" for i, x in enumerate(labels)]
    )
    try:
        parts = table.split(test=0.3, validation=validation, seed=seed)
    except TableError:
        # A group that is larger than a side can leave it empty.
        assume(max(map(labels.count, labels)) <= 0.2 * len(labels))
        raise
    sides = [parts.train, *([parts.validation] if validation else []), parts.test]
    assert sum(map(len, sides)) == len(table)
    keys = [{text.rstrip("?") for text in side.texts} for side in sides]
    assert not set.intersection(keys[0], keys[-1])
    assert sum(map(len, keys)) == len(set(labels))


def test_a_split_depends_on_the_seed_and_not_on_the_order() -> None:
    table = make(np.linspace(0, 1, 200)[:, None])
    first = set(table.split(seed=1).test.texts)
    shuffled = table.rows(np.random.default_rng(0).permutation(200))
    assert set(shuffled.split(seed=1).test.texts) == first
    assert set(table.split(seed=2).test.texts) != first
    assert 50 <= len(first) <= 70


@pytest.mark.parametrize(
    ("n", "test", "validation", "message"),
    [
        (1, 0.3, 0.0, "1 queries are too few"),
        (3, 0.3, 0.01, "3 queries are too few"),
        (9, 0.7, 0.3, "must be shares that leave a train side"),
        (9, -0.1, 0.0, "must be shares"),
        (9, 1.0, 0.0, "must be shares"),
        (9, NAN, 0.0, "must be shares"),
    ],
)
def test_splits_that_cannot_be(n: int, test: float, validation: float, message: str) -> None:
    with pytest.raises(TableError, match=message):
        make([[1.0]] * n).split(test=test, validation=validation)


def test_a_part_that_is_not_asked_for_is_the_train_part() -> None:
    parts = make([[1.0]] * 20).split(test=0.0)
    assert len(parts.train) == len(parts.test) == len(parts.validation) == 20


# Describing


def test_coverage_and_what_is_there() -> None:
    table = make([[1.0, NAN], [0.0, NAN], [1.0, 1.0], [1.0, NAN]])
    assert table.coverage() == {"a": 1.0, "b": 0.25}
    assert table.observed().sum() == 5
    assert not table.has_costs
    assert not table.has_judge


def test_mean_cost_skips_unknown_cells() -> None:
    costs = np.array([[1.0, NAN], [3.0, NAN]])
    np.testing.assert_array_equal(make([[1.0, 1.0]] * 2, cost_usd=costs).arm_cost_usd(), [2.0, NAN])


def test_an_arm_gains_nothing_by_missing_hard_queries() -> None:
    hard, easy = [0.2, 0.2, 0.2], [1.0, 1.0, 1.0]
    rows = [[h, NAN] for h in hard] + [[e, e] for e in easy]
    np.testing.assert_allclose(make(rows).arm_quality(), [0.6, 0.6], atol=1e-6)
    full = np.random.default_rng(0).random((30, 4))
    np.testing.assert_allclose(adjusted_means(full), full.mean(axis=0))
    np.testing.assert_array_equal(adjusted_means(np.array([[0.5, NAN]])), [0.5, NAN])
    assert np.isnan(adjusted_means(np.full((2, 2), NAN))).all()


def test_best_single_breaks_ties_by_cost_then_name() -> None:
    costs = np.array([[3.0, 1.0, NAN]])
    assert make([[1.0, 1.0, 1.0]], cost_usd=costs).best_single() == 1
    assert make([[1.0, 1.0]], arms=[Arm("z"), Arm("y")]).best_single() == 1
    assert make([[0.0, NAN, 0.5]]).best_single() == 2
    with pytest.raises(TableError, match="no cell carries a quality"):
        make([[NAN, NAN]]).best_single()


# Fingerprints


def rich() -> OutcomeTable:
    responses = np.array([["x", "yz"], [None, ""]], dtype=object)
    return make(
        [[1.0, 0.5], [NAN, 0.0]], cost_usd=np.array([[0.5, NAN], [0.1, 0.2]]), responses=responses
    )


def test_the_order_of_rows_and_columns_does_not_count() -> None:
    table = rich()
    turned = table.rows(np.array([1, 0])).select_arms(["b", "a"])
    assert turned.fingerprint() == table.fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"quality": np.array([[1.0, 0.5], [0.0, 0.0]])},
        {"cost_usd": np.array([[0.5, NAN], [0.1, 0.3]])},
        {"latency_s": np.array([[0.5, NAN], [0.1, 0.3]])},
        {"responses": np.array([["xy", "z"], [None, ""]], dtype=object)},
        {"responses": np.array([["x", "yz"], ["", None]], dtype=object)},
        {"responses": np.array([["x", "yz"], ["\0", ""]], dtype=object)},
        {"responses": None},
        {"arms": (Arm("a"), Arm("b", input_price=0.1))},
        {"arms": (Arm("a"), Arm("b", description="x"))},
    ],
)
def test_every_change_of_content_counts(change: dict[str, Any]) -> None:
    assert replace(rich(), **change).fingerprint() != rich().fingerprint()


def test_how_a_number_is_held_does_not_count() -> None:
    table = rich()
    prices = [Arm("a", input_price=1), Arm("b", input_price=np.float64(2))]
    plain = [Arm("a", input_price=1.0), Arm("b", input_price=2.0)]
    assert (
        replace(table, arms=tuple(prices)).fingerprint()
        == replace(table, arms=tuple(plain)).fingerprint()
    )
    negative = np.where(table.quality == 0, -0.0, table.quality)
    assert replace(table, quality=negative).fingerprint() == table.fingerprint()


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the development data set is not here")
def test_real_tables_round_trip(tmp_path: Path) -> None:
    table = OutcomeTable.read(SHARED / "fusionbench9.parquet")
    assert (len(table), len(table.arms)) == (5989, 9)
    assert table.observed().all()
    assert again(table, tmp_path).fingerprint() == table.fingerprint()


def test_digests_tell_operators_apart_where_groups_do_not() -> None:
    texts = ["What is 7 * 8?", "what is 7*8", "What is 7 + 8?"]
    table = make([[1.0]] * 3, texts=texts)
    assert len(set(table.groups().tolist())) == 1
    digests = table.text_digests()
    assert digests[0] == digests[1] != digests[2]


def test_splits_stay_where_published_figures_were_measured() -> None:
    letters = [chr(ord("a") + i) for i in range(12)]
    table = make([[1.0]] * 12, texts=[f"question {letter}, and more" for letter in letters])
    tested = table.split(test=0.3, seed=0).test.texts
    assert sorted(text[len("question ")] for text in tested) == ["c", "e", "h", "j"]
