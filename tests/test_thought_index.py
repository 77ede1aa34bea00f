"""The index of a bank: who finds what, what is refused, and what is on disk."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.encoders import make_encoder
from fusionfactory.errors import MissingExtraError, ThoughtError
from fusionfactory.sealed import digest
from fusionfactory.thoughts.search import lookup, shelf
from fusionfactory.thoughts.search.index import ThoughtIndex
from fusionfactory.thoughts.template import Source, ThoughtTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fusionfactory.types import FloatArray


def template(number: int, task: str | None = "sums") -> ThoughtTemplate:
    return ThoughtTemplate(
        text=f"Note {number}.",
        question=f"How many is {number}?",
        answer=str(number),
        sources=(Source(f"q{number}", "m"),),
        criteria=("performance",),
        writer="w",
        prompt_version="1",
        task=task,
    )


def templates(count: int, *tasks: str | None) -> list[ThoughtTemplate]:
    return [template(i, tasks[i % len(tasks)]) for i in range(count)]


def vectors(count: int, d: int = 12, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(count, d)).astype(np.float32)


def found(index: ThoughtIndex, rows: Sequence[int]) -> list[str | None]:
    return [index.ids[row] if row >= 0 else None for row in rows]


def naive(
    bank: Sequence[ThoughtTemplate], given: FloatArray, query: FloatArray, k: int
) -> list[str]:
    cosine = given @ query / (np.linalg.norm(given, axis=1) * np.linalg.norm(query))
    return [bank[i].id for i in np.argsort(-cosine)[:k]]


@pytest.fixture(params=[False, True], ids=["exact", "graph"])
def approximate(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# Searching


def test_over_all_as_sorting_everything(approximate: bool) -> None:
    bank, given, queries = templates(200, "a", "b", None), vectors(200), vectors(9, seed=1)
    index = ThoughtIndex.build(bank, given, approximate=approximate)
    near = index.search(queries, 5, over_all=True)
    for query, rows in zip(queries, near.rows, strict=True):
        assert found(index, rows) == naive(bank, given, query, 5)
    assert near.tasks == (None,) * 9
    assert np.isnan(near.confidence).all()
    assert index.approximate is approximate


def test_within_the_task_that_is_given(approximate: bool) -> None:
    bank, given, queries = templates(200, "a", "b", None), vectors(200), vectors(9, seed=1)
    index = ThoughtIndex.build(bank, given, approximate=approximate)
    told = ["b", "a", "b"] * 3
    near = index.search(queries, 5, told)
    for query, task, rows in zip(queries, told, near.rows, strict=True):
        own = [i for i, one in enumerate(bank) if one.task == task]
        assert found(index, rows) == naive([bank[i] for i in own], given[own], query, 5)
    assert near.tasks == tuple(told)
    assert (near.confidence == 1).all()
    assert index.tasks == ("a", "b")


def test_a_task_is_predicted_where_it_is_absent_or_unheard_of() -> None:
    bank = templates(40, "a", "b")
    given = np.array([[1.0, 0.1 * i] if i % 2 else [-1.0, 0.1 * i] for i in range(40)])
    index = ThoughtIndex.build(bank, given)
    near = index.search(np.array([[1.0, 0.5], [-1.0, 0.5]]), 30, [None, "never heard of"])
    assert near.tasks == ("b", "a")
    assert (near.confidence == 1).all()
    assert (near.rows >= 0).sum(axis=1).tolist() == [20, 20]
    assert {bank_id for bank_id in found(index, near.rows[0]) if bank_id} == {
        one.id for one in bank if one.task == "b"
    }


def test_over_all_where_the_votes_are_divided_or_nobody_has_a_task() -> None:
    given = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    mixed = [template(0, "a"), template(1, "b"), template(2, "c")]
    index = ThoughtIndex.build(mixed, given)
    near = index.search(np.array([[1.0, 0.0]]), 3)
    assert near.tasks == (None,)
    assert near.confidence.tolist() == [0.5]
    assert (near.rows >= 0).all()
    three = np.array([[1.0, 0.0], [0.9, 0.1], [1.0, 0.0]])
    index = ThoughtIndex.build([template(0, "a"), template(1, "b"), template(2, "a")], three)
    assert index.search(np.array([[1.0, 0.0]]), 3).tasks == ("a",)
    assert index.search(np.array([[1.0, 0.0]]), 3, least_confidence=0.9).tasks == (None,)
    nameless = ThoughtIndex.build(templates(3, None), given).search(np.array([[1.0, 0.0]]), 2)
    assert nameless.tasks == (None,)
    assert nameless.confidence.tolist() == [0.0]
    assert (nameless.rows >= 0).all()


def test_a_prediction_does_not_depend_on_k() -> None:
    bank, given = templates(120, "a", "b", "c"), vectors(120, 3)
    index = ThoughtIndex.build(bank, given)
    queries = vectors(30, 3, seed=4)
    few, many = index.search(queries, 1), index.search(queries, 60)
    assert few.tasks == many.tasks
    np.testing.assert_array_equal(few.confidence, many.confidence)
    assert len(set(few.tasks)) > 1
    np.testing.assert_array_equal(few.rows[:, 0], many.rows[:, 0])


def test_excluded_rows_are_not_found_and_have_no_vote(approximate: bool) -> None:
    bank, given = templates(30, "a", "b"), vectors(30)
    index = ThoughtIndex.build(bank, given, approximate=approximate)
    everything = index.search(given[:2], 30, over_all=True).rows
    banned = int(everything[1, 2])
    exclude = [everything[0, :4].tolist(), [banned]]
    near = index.search(given[:2], 30, over_all=True, exclude=exclude)
    assert near.rows[0].tolist() == [*everything[0, 4:].tolist(), -1, -1, -1, -1]
    assert near.rows[1].tolist() == [r for r in everything[1].tolist() if r != banned] + [-1]
    assert np.isnan(near.similarity[0, -4:]).all()
    a_rows = index.rows_of(one.id for one in bank if one.task == "a")
    only_b = index.search(given[:1], 3, exclude=[a_rows])
    assert only_b.tasks == ("b",)
    assert only_b.confidence.tolist() == [1.0]
    within = index.search(given[:1], 20, ["a"], exclude=[a_rows[:-1]])
    assert within.rows[0].tolist() == [a_rows[-1], *[-1] * 19]


def test_a_screen_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, queries = templates(300, "a", "b", "b", None), vectors(40, seed=1)
    plain = ThoughtIndex.build(bank, vectors(300))
    monkeypatch.setattr(shelf, "_SCREENED", 20)
    screened = ThoughtIndex.build(bank, vectors(300))
    for asked in (None, ["a", "b"] * 20):
        one, other = (index.search(queries, 2, asked) for index in (plain, screened))
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.similarity, other.similarity)


def test_ties_go_by_id_whatever_the_order() -> None:
    bank = templates(50, "a", "b")
    same = np.ones((50, 7))
    for order in (np.arange(50), np.random.default_rng(0).permutation(50)):
        index = ThoughtIndex.build([bank[i] for i in order], same)
        near = index.search(same[:1], 6, over_all=True)
        assert found(index, near.rows[0]) == sorted(one.id for one in bank)[:6]


def test_a_query_of_zeros_finds_nothing_and_a_template_of_zeros_comes_last(
    approximate: bool,
) -> None:
    given = vectors(5)
    given[2] = 0
    bank = templates(5, "a")
    index = ThoughtIndex.build(bank, given, approximate=approximate)
    near = index.search(np.stack([given[2], given[1]]), 5, over_all=True)
    assert near.rows[0].tolist() == [-1] * 5
    assert np.isnan(near.similarity[0]).all()
    similarity = dict(zip(found(index, near.rows[1]), near.similarity[1].tolist(), strict=True))
    assert similarity[bank[2].id] == 0
    assert index.search(given[2:3], 2).tasks == (None,)


def test_the_length_of_vectors_does_not_matter() -> None:
    bank, given, queries = templates(20, "a"), vectors(20), vectors(3, seed=1)
    plain = ThoughtIndex.build(bank, given).search(queries, 4)
    large = ThoughtIndex.build(bank, given.astype(np.float64) * 1e200).search(queries * 1e-30, 4)
    np.testing.assert_array_equal(plain.rows, large.rows)
    np.testing.assert_allclose(plain.similarity, large.similarity, atol=1e-6)
    assert (np.abs(plain.similarity) <= 1).all()


def test_no_templates_and_no_queries() -> None:
    index = ThoughtIndex.build([], np.zeros((0, 0)))
    near = index.search(vectors(2), 3, ["a", None])
    assert len(index) == 0
    assert near.rows.tolist() == [[-1] * 3] * 2
    assert near.tasks == (None, None)
    assert ThoughtIndex.build(templates(4, "a"), vectors(4)).search(vectors(0), 3).rows.shape == (
        0,
        3,
    )
    index.add(templates(4, "a"), vectors(4))
    assert len(index) == 4
    assert index.dim == 12


def test_more_than_there_are() -> None:
    index = ThoughtIndex.build(templates(4, "a", "b"), vectors(4))
    near = index.search(vectors(1), 10, ["a"])
    assert (near.rows[0] >= 0).tolist() == [True] * 2 + [False] * 8
    assert np.isnan(near.similarity[0, 2:]).all()


# Changing


def test_adding_and_deleting_equals_building(approximate: bool) -> None:
    bank, given, queries = templates(60, "a", "b", None), vectors(60), vectors(5, seed=1)
    index = ThoughtIndex.build(bank[:30], given[:30], approximate=approximate)
    before = index.search(queries, 4, over_all=True)
    index.add(bank[20:60], np.concatenate([given[:10], given[30:]]))
    index.add(bank[20:30], given[20:30])
    index.add([], vectors(0))
    index.delete([bank[3].id, bank[50].id])
    kept = [i for i in range(60) if i not in {3, 50}]
    built = ThoughtIndex.build([bank[i] for i in kept], given[kept], approximate=approximate)
    assert index.ids == built.ids
    for over_all in (True, False):
        one, other = (i.search(queries, 4, over_all=over_all) for i in (index, built))
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.similarity, other.similarity)
        assert one.tasks == other.tasks
    assert before.rows.max() < 30
    index.delete(index.ids)
    assert len(index) == 0
    assert index.search(queries, 1).rows.tolist() == [[-1]] * 5


def test_rows_of_templates() -> None:
    bank = templates(9, "a", "b")
    index = ThoughtIndex.build(bank, vectors(9))
    rows = index.rows_of([bank[4].id, bank[0].id])
    assert [index.ids[row] for row in rows] == [bank[4].id, bank[0].id]
    with pytest.raises(ThoughtError, match="no template '0123456789abcdef' in the index"):
        index.delete([bank[0].id, "0123456789abcdef"])
    assert len(index) == 9
    with pytest.raises(ThoughtError, match="'first' is no template's id: expected 16 hexadecimal"):
        index.rows_of(["first"])


# Refusing


def test_what_cannot_be_built() -> None:
    bank, given = templates(3, "a"), vectors(3)
    with pytest.raises(ThoughtError, match=r"has shape \(2, 12\), expected \(3, d\): one row per"):
        ThoughtIndex.build(bank, given[:2])
    with pytest.raises(ThoughtError, match=r"has shape \(12,\), expected \(3, d\)"):
        ThoughtIndex.build(bank, given[0])
    given[1, 4] = np.nan
    with pytest.raises(ThoughtError, match="row 2, field 'vectors': holds a number that is not"):
        ThoughtIndex.build(bank, given)
    with pytest.raises(ThoughtError, match=f"template {bank[0].id} is there twice"):
        ThoughtIndex.build([bank[0], bank[1], bank[0]], vectors(3))


def test_what_cannot_be_searched() -> None:
    index = ThoughtIndex.build(templates(3, "a"), vectors(3))
    wrong: list[tuple[str, Callable[[], object]]] = [
        ("have 5 columns, the index has 12", lambda: index.search(vectors(1, 5), 1)),
        ("must be at least 1, got 0", lambda: index.search(vectors(1), 0)),
        ("row 1, field 'vectors'", lambda: index.search(np.full((1, 12), np.inf), 1)),
        (r"has shape \(12,\), expected \(n, d\)", lambda: index.search(vectors(1)[0], 1)),
        ("1 tasks for 2 queries", lambda: index.search(vectors(2), 1, ["a"])),
        ("1 lists of rows for 2 queries", lambda: index.search(vectors(2), 1, exclude=[[0]])),
        ("no row 3: the index has 3", lambda: index.search(vectors(1), 1, exclude=[[0, 3]])),
        ("no row -1: the index has 3", lambda: index.search(vectors(1), 1, exclude=[[-1]])),
        ("have 5 columns", lambda: index.add([template(9)], vectors(1, 5))),
        ("built without its encoder", lambda: index.encoder),
    ]
    for message, call in wrong:
        with pytest.raises(ThoughtError, match=message):
            call()


def test_a_graph_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    monkeypatch.setitem(sys.modules, "usearch", None)
    with pytest.raises(MissingExtraError, match=r"fusionfactory\[ann\]"):
        ThoughtIndex.build(templates(3, "a"), vectors(3), approximate=True)
    monkeypatch.setattr("fusionfactory.thoughts.search.index.EXACT_ROWS", 2)
    with pytest.raises(MissingExtraError, match=r"fusionfactory\[ann\]"):
        ThoughtIndex.build(templates(3, "a"), vectors(3))
    assert not ThoughtIndex.build(templates(3, "a"), vectors(3), approximate=False).approximate


def test_a_task_larger_than_comparing_allows_goes_through_the_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank, given, queries = templates(400, "a", "b", "b", "b"), vectors(400), vectors(20, seed=1)
    index = ThoughtIndex.build(bank, given, approximate=True)
    exact = index.search(queries, 3, ["b"] * 20)
    monkeypatch.setattr(lookup, "EXACT_ROWS", 200)
    through = index.search(queries, 3, ["b"] * 20)
    np.testing.assert_array_equal(exact.rows, through.rows)
    np.testing.assert_array_equal(exact.similarity, through.similarity)


# Keeping


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    encoder = make_encoder("text").fit([one.question for one in templates(30, "a")])
    bank = templates(30, "a", "b", None)
    given = encoder.encode([one.question for one in bank])
    ThoughtIndex.build(bank, given, encoder).save(tmp_path / "bank")
    return tmp_path / "bank"


def test_what_is_saved_comes_back(tmp_path: Path, approximate: bool) -> None:
    bank = templates(80, "a", "b", None)
    encoder = make_encoder("text").fit([one.question for one in bank])
    given = encoder.encode([one.question for one in bank])
    index = ThoughtIndex.build(bank, given, encoder, approximate=approximate)
    index.delete([bank[5].id])
    index.save(tmp_path)
    again = ThoughtIndex.load(tmp_path)
    queries = again.encoder.encode(["How many is 7?", "How many are there?"])
    np.testing.assert_array_equal(
        queries, encoder.encode(["How many is 7?", "How many are there?"])
    )
    one, other = index.search(queries, 6), again.search(queries, 6)
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.similarity, other.similarity)
    assert (again.ids, again.tasks, again.dim) == (index.ids, index.tasks, index.dim)
    assert again.approximate is approximate
    again.add(bank[5:6], given[5:6])
    again.save(tmp_path)
    assert len(ThoughtIndex.load(tmp_path)) == 80
    names = {"index.json", "index.safetensors"} | ({"index.usearch"} if approximate else set())
    assert {file.name for file in tmp_path.iterdir()} == names


def test_an_empty_index_and_one_without_an_encoder_come_back(tmp_path: Path) -> None:
    ThoughtIndex.build([], vectors(0)).save(tmp_path)
    empty = ThoughtIndex.load(tmp_path)
    assert len(empty) == 0
    with pytest.raises(ThoughtError, match="built without its encoder"):
        _ = empty.encoder


def test_saving_spares_the_bank_and_drops_an_old_graph(tmp_path: Path) -> None:
    (tmp_path / "templates.jsonl").write_text("{}")
    bank, given = templates(9, "a"), vectors(9)
    ThoughtIndex.build(bank, given, approximate=True).save(tmp_path)
    ThoughtIndex.build(bank, given).save(tmp_path)
    names = {"templates.jsonl", "index.json", "index.safetensors"}
    assert {file.name for file in tmp_path.iterdir()} == names
    assert not ThoughtIndex.load(tmp_path).approximate


def test_damaged_and_absent_files_are_refused(saved: Path, tmp_path: Path) -> None:
    body = (saved / "index.safetensors").read_bytes()
    (saved / "index.safetensors").write_bytes(body[:-4] + b"\0\0\0\1")
    with pytest.raises(ThoughtError, match=r"index\.safetensors: was changed or cut short"):
        ThoughtIndex.load(saved)
    (saved / "index.safetensors").unlink()
    with pytest.raises(ThoughtError, match=r"index\.safetensors: No such file"):
        ThoughtIndex.load(saved)
    text = (saved / "index.json").read_text()
    (saved / "index.json").write_text(text.replace('"dim"', '"dims"'))
    with pytest.raises(ThoughtError, match="was changed after it was saved"):
        ThoughtIndex.load(saved)
    with pytest.raises(ThoughtError, match="no index here: make one by `fusionfactory think"):
        ThoughtIndex.load(tmp_path / "nowhere")


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    ThoughtIndex.build(templates(30, "a"), vectors(30), approximate=True).save(tmp_path)
    graph = (tmp_path / "index.usearch").read_bytes()
    (tmp_path / "index.usearch").write_bytes(graph[:-10])
    with pytest.raises(ThoughtError, match=r"index\.usearch: was changed or cut short"):
        ThoughtIndex.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema_version", 2, "schema version 2, this version of fusionfactory reads up to 1"),
        ("state", {"$": "router", "name": "knn", "params": {}, "fitted": {}}, "holds a KNNRouter"),
        ("state", {"$": "encoder", "name": "no", "params": {}, "fitted": {}}, "unknown encoder"),
        ("tasks", None, "does not fit this version of fusionfactory"),
        (
            "state",
            {
                "$": "encoder",
                "name": "endpoint",
                "params": {"model": "m", "base_url": "http://127.0.0.1:9/v1"},
                "fitted": {},
            },
            r"sends queries to 'http://127\.0\.0\.1:9/v1'",
        ),
    ],
)
def test_what_another_version_or_hand_wrote_is_refused(
    saved: Path, key: str, value: object, message: str
) -> None:
    import fusionfactory.routers  # noqa: F401  registers its loader

    manifest = json.loads((saved / "index.json").read_text())
    manifest[key] = value
    manifest["manifest_sha256"] = digest(manifest)
    (saved / "index.json").write_text(json.dumps(manifest))
    with pytest.raises(ThoughtError, match=message):
        ThoughtIndex.load(saved)


def test_an_endpoint_is_allowed_on_request(tmp_path: Path) -> None:
    encoder = make_encoder("endpoint:some-model@http://127.0.0.1:9/v1")
    ThoughtIndex.build(templates(3, "a"), vectors(3), encoder).save(tmp_path)
    assert ThoughtIndex.load(tmp_path, network=True).encoder.name == "endpoint"
