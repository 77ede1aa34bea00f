"""Gathering: what OutcomeTable.read makes of one file, from rows that stand anyhow in many."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionfactory.errors import TableError
from fusionfactory.large import LargeTable, gather, write_partitioned
from fusionfactory.table import OutcomeTable
from large_folders import cut, gathered, outcomes, same

TEXTS = ("What is 1?", "what is 1", "What is 2?", "What is 2? ", "?!", "Let's think step by step.",
         "What is 1? Let's think step by step.")  # fmt: skip
ROW = st.fixed_dictionaries(
    {
        "task_name": st.sampled_from(["a", "b", ""]),
        "task_id": st.sampled_from(["1", "2", None]),
        "query_id": st.sampled_from([None, None, None, "x", "y"]),
        "query": st.sampled_from(
            [*TEXTS, *(f"{text}\nLet's think step by step." for text in TEXTS)]
        ),
        "llm": st.sampled_from(["m", "m_think", "n|few", "n"]),
        "input_price": st.sampled_from([None, 0.5]),
        "llm_description": st.sampled_from([None, "one", "two"]),
        "performance": st.sampled_from([None, 0.0, 1.0]),
        "cost": st.sampled_from([None, 2.0]),
        "response": st.sampled_from([None, "A", ""]),
    }
)
SCHEMA = {
    name: pl.Float64 if name in {"input_price", "performance", "cost"} else pl.String
    for name in ("task_name", "task_id", "query_id", "query", "llm", "input_price",
                 "llm_description", "performance", "cost", "response")
}  # fmt: skip


def either(read: Any) -> OutcomeTable | None:  # noqa: ANN401  any reader
    """A table, or None where it is refused."""
    try:
        table: OutcomeTable = read()
    except TableError:
        return None
    return table


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=14), files=st.integers(1, 3))
def test_a_gathered_folder_holds_what_one_file_holds(
    rows: list[dict[str, Any]], files: int
) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frame.write_parquet(folder / "one.parquet")
        source = cut(frame, folder / "many", files)
        whole = either(lambda: OutcomeTable.read(folder / "one.parquet"))
        found = either(lambda: gathered(source, folder / "gathered").collect())
    if whole is None or found is None:
        assert whole is found
    else:
        assert same(found, whole)


def test_many_pieces_and_parts_make_one_table(tmp_path: Path) -> None:
    frame = outcomes(3000, responses=True).sample(fraction=1, shuffle=True, seed=1)
    frame.write_parquet(tmp_path / "one.parquet")
    large = gathered(cut(frame, tmp_path / "many", 3), tmp_path / "gathered", parts=32)
    assert len(large.view.manifest.parts) >= 16
    assert same(large.collect(), OutcomeTable.read(tmp_path / "one.parquet"))


def test_a_scan_gathers_once_and_finds_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSIONFACTORY_CACHE", str(tmp_path / "cache"))
    source = cut(outcomes(50), tmp_path / "many", 2)
    told: list[str] = []
    first = LargeTable.scan(source, progress=lambda _done, _of, label: told.append(label))
    assert "gathering" in told
    told.clear()
    again = LargeTable.scan(source, progress=lambda _done, _of, label: told.append(label))
    assert not told
    assert again.view.folder == first.view.folder
    assert LargeTable.scan(first.view.folder).fingerprint() == first.fingerprint()
    outcomes(60).write_parquet(source / "new.parquet")
    with pytest.raises(TableError, match="duplicate cell"):
        LargeTable.scan(source)


@pytest.mark.parametrize("last", range(1, 12))
def test_gathering_goes_on_where_it_was_stopped(tmp_path: Path, last: int) -> None:
    source = cut(outcomes(400), tmp_path / "many", 4)
    expected = gathered(source, tmp_path / "whole").fingerprint()
    steps: list[int] = []
    stopped = "stopped"

    def stop(done: int, _total: int, _label: str) -> None:
        steps.append(done)
        if len(steps) == last:
            raise KeyboardInterrupt(stopped)

    size = 1100 * 450 // 8
    with pytest.raises(KeyboardInterrupt, match=stopped):
        gather(source, tmp_path / "stopped", part_bytes=size, progress=stop)
    with pytest.raises(TableError, match="is no gathered folder"):
        LargeTable.open(tmp_path / "stopped")
    large = LargeTable.open(gather(source, tmp_path / "stopped", part_bytes=size))
    assert large.fingerprint() == expected
    assert not (tmp_path / "stopped" / "unfinished").exists()


def test_a_killed_gathering_loses_and_doubles_nothing(tmp_path: Path) -> None:
    source = cut(outcomes(5000), tmp_path / "many", 2)
    code = (
        "import os, sys; from fusionfactory.large import scatter, gather\n"
        "from fusionfactory.large.bins import Bins\n"
        "added, append = [], Bins.append\n"
        "def die(self, name, frame):\n"
        "    append(self, name, frame); added.append(name)\n"
        "    if len(added) == int(sys.argv[3]): os.kill(os.getpid(), 9)\n"
        "Bins.append = die\n"
        "gather(sys.argv[1], sys.argv[2], part_bytes=100_000)\n"
    )
    target = tmp_path / "gathered"
    for appends in ("7", "40", "90"):
        done = subprocess.run([sys.executable, "-c", code, str(source), str(target), appends],
                              check=False)  # fmt: skip
        assert done.returncode == -9
    large = LargeTable.open(gather(source, target, part_bytes=100_000))
    assert same(large.collect(), gathered(source, tmp_path / "whole").collect())


# Where tables are


def test_globs_urls_and_hive_folders_are_read(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")

    frame = outcomes(40)
    source = cut(frame, tmp_path / "many", 3)
    expected = gathered(source, tmp_path / "plain").fingerprint()
    memory = fsspec.filesystem("memory")
    for file in source.iterdir():
        memory.pipe(f"/large/deep/{file.name}", file.read_bytes())
    (source / "_hidden.parquet").write_bytes(b"no Parquet")
    hive = tmp_path / "hive"
    for (name,), rows in frame.partition_by("llm", as_dict=True, include_key=False).items():
        (hive / f"llm={name}").mkdir(parents=True)
        rows.write_parquet(hive / f"llm={name}" / "rows.parquet")
        memory.put(str(hive / f"llm={name}" / "rows.parquet"), f"/hive/llm={name}/rows.parquet")
    memory.pipe("/large/_unfinished/x.parquet", b"no Parquet")
    places: list[str | Path] = [source, f"{source}/0*.parquet", "memory://large", "memory://large/**/[0-9]*.parquet",
              f"file://{source}/[0-9]*.parquet", hive, "memory://hive"]  # fmt: skip
    for number, place in enumerate(places):
        large = LargeTable.scan(place, scratch=tmp_path / f"gathered{number}")
        assert large.select_arms(sorted(large.arm_names)).fingerprint() == expected, place
    memory.rm("/large", recursive=True)
    memory.rm("/hive", recursive=True)


def test_a_host_with_a_login_is_read_and_the_login_is_kept_nowhere(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem
    from fsspec.utils import infer_storage_options

    class Hosted(MemoryFileSystem):  # type: ignore[misc]  # fsspec is untyped
        """As SFTP: paths leave out the host, and without the login nothing is found."""

        protocol = "hosted"

        def __init__(self, username: str = "", password: str = "", **more: Any) -> None:  # noqa: ANN401  of fsspec
            super().__init__(**more)
            self.store = MemoryFileSystem.store if (username, password) == ("me", "secret") else {}

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(infer_storage_options(path)["path"])

        @staticmethod
        def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
            found = infer_storage_options(path)
            return {name: found[name] for name in ("host", "username", "password") if name in found}

    fsspec.register_implementation("hosted", Hosted, clobber=True)
    source = cut(outcomes(40), tmp_path / "many", 2)
    for file in source.iterdir():
        fsspec.filesystem("memory").pipe(f"/hosted/{file.name}", file.read_bytes())
    large = LargeTable.scan("hosted://me:secret@there/hosted", scratch=tmp_path / "gathered")
    assert large.fingerprint() == gathered(source, tmp_path / "plain").fingerprint()
    assert "secret" not in (tmp_path / "gathered" / "gathered.json").read_text()
    with pytest.raises(TableError, match=r"^hosted://there/absent: no such file") as caught:
        LargeTable.scan("hosted://me:secret@there/absent")
    assert "secret" not in str(caught.value)
    fsspec.filesystem("memory").rm("/hosted", recursive=True)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("absent", "no such file or folder"),
        ("empty", "no Parquet files"),
        ("memory://absent", "no such file or folder"),
        ("nonsense://x", "fsspec cannot open it"),
        ("zero", r"zero\.parquet: the file is empty"),
    ],
)
def test_a_place_without_tables_is_named(tmp_path: Path, place: str, reason: str) -> None:
    if "://" in place:
        pytest.importorskip("fsspec")
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero").mkdir()
    (tmp_path / "zero" / "zero.parquet").touch()
    source = place if "://" in place else tmp_path / place
    with pytest.raises(TableError, match=reason):
        LargeTable.scan(source, scratch=tmp_path / "gathered")


# Files that cannot be used


def test_a_bad_value_is_named_by_file_row_and_field(tmp_path: Path) -> None:
    source = cut(outcomes(60), tmp_path / "many", 3)
    bad = pl.read_parquet(source / "001.parquet").with_row_index()
    bad = bad.with_columns(
        performance=pl.when(pl.col("index") == 4).then(7.0).otherwise("performance")
    )
    bad.drop("index").write_parquet(source / "001.parquet")
    with pytest.raises(
        TableError, match=r"001\.parquet, row 5, field 'performance': 7\.0 must lie"
    ):
        gathered(source, tmp_path / "gathered")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"x": [1]}, r"field 'task_name': missing; the columns task_name, query, llm .* found x"),
        ({"performance": [1.0]}, r"field 'task_name': missing"),
        ({"task_name": [1], "query": [2], "llm": [" "]}, r"row 1, field 'llm': ' ' is empty"),
        (
            {"task_name": ["a"], "query": ["b"], "llm": ["|x"]},
            r"row 1, field 'llm': '\|x' names",
        ),
        ({"task_name": ["a"], "query": [["b"]], "llm": ["c"]}, r"field 'query': has type List"),
    ],
)
def test_a_file_of_another_kind_is_named(
    tmp_path: Path, columns: dict[str, list[Any]], reason: str
) -> None:
    source = cut(outcomes(20), tmp_path / "many", 2)
    pl.DataFrame(columns).write_parquet(source / "odd.parquet")
    with pytest.raises(TableError, match=r"odd\.parquet, " + reason):
        LargeTable.scan(source, scratch=tmp_path / "gathered")


def test_a_cut_off_file_is_named(tmp_path: Path) -> None:
    source = cut(outcomes(60), tmp_path / "many", 3)
    whole = (source / "002.parquet").read_bytes()
    (source / "002.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TableError, match=r"002\.parquet: cannot be read as Parquet .* complete\?"):
        LargeTable.scan(source, scratch=tmp_path / "gathered")
    (source / "002.parquet").write_bytes(whole)
    large = LargeTable.scan(source, scratch=tmp_path / "gathered")
    assert large.fingerprint() == gathered(source, tmp_path / "fresh").fingerprint()


def test_rows_that_fill_one_cell_are_named_across_files(tmp_path: Path) -> None:
    frame = outcomes(60)
    source = cut(pl.concat([frame, frame[7:8]]), tmp_path / "many", 2)
    with pytest.raises(TableError, match=r"001\.parquet, row \d+: duplicate cell: arm .* in row 8"):
        gathered(source, tmp_path / "gathered")


def test_an_id_of_two_texts_is_named_across_parts(tmp_path: Path) -> None:
    frame = outcomes(60).with_columns(query_id=pl.col("task_id"))
    other = frame[:1].with_columns(query=pl.lit("Quite another"), llm=pl.lit("late"))
    source = cut(pl.concat([frame, other]), tmp_path / "many", 2)
    reason = r"001\.parquet, row \d+, field 'query_id': '0' stands for two texts"
    with pytest.raises(TableError, match=reason):
        gathered(source, tmp_path / "gathered", parts=32)


def test_two_that_gather_at_once_do_it_once(tmp_path: Path) -> None:
    source = cut(outcomes(300), tmp_path / "many", 3)
    told: list[str] = []

    def one(_: int) -> Path:
        return gather(source, tmp_path / "gathered", progress=lambda *step: told.append(step[2]))

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(one, range(2)))) == 1
    assert told.count("gathered") == 1
    assert len(LargeTable.open(tmp_path / "gathered")) == 300


def test_a_folder_inside_its_source_is_refused(tmp_path: Path) -> None:
    source = cut(outcomes(20), tmp_path / "many", 2)
    with pytest.raises(
        TableError, match=r"inside: stands inside .*many, which it is to be made of"
    ):
        gather(source, source / "inside")


def test_a_folder_of_another_table_is_refused(tmp_path: Path) -> None:
    one, other = (cut(outcomes(20 + n), tmp_path / f"many{n}", 2) for n in (0, 1))
    gathered(one, tmp_path / "gathered")
    with pytest.raises(TableError, match=r"holds another or an older table than .*many1"):
        LargeTable.scan(other, scratch=tmp_path / "gathered")


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    large = gathered(cut(outcomes(60), tmp_path / "many", 2), tmp_path / "gathered")
    part = tmp_path / "gathered" / f"cells-{large.view.manifest.parts[0].number:05}.parquet"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(TableError, match=r"cells-0000.\.parquet: cannot be read .* gather again"):
        list(large.blocks())
    (tmp_path / "gathered" / "gathered.json").write_text("{")
    with pytest.raises(TableError, match=r"gathered\.json: is damaged"):
        LargeTable.open(tmp_path / "gathered")


def test_files_without_rows_are_no_table(tmp_path: Path) -> None:
    frame = outcomes(20)
    source = cut(frame, tmp_path / "many", 2)
    frame[:0].write_parquet(source / "empty.parquet")
    assert len(gathered(source, tmp_path / "gathered")) == 20
    with pytest.raises(TableError, match="the table has no rows"):
        gathered(cut(frame[:0], tmp_path / "none", 2), tmp_path / "other")


# Writing


def test_a_table_is_written_in_files_and_read_again(tmp_path: Path) -> None:
    frame = outcomes(500, responses=True)
    source = cut(frame, tmp_path / "many", 1)
    large = gathered(source, tmp_path / "gathered")
    rows = write_partitioned(
        large.blocks(responses=True, block_queries=64), tmp_path / "out", file_rows=200
    )
    files = sorted((tmp_path / "out").iterdir())
    assert rows >= frame.height  # a block tells of all arms in its first query
    assert [pl.read_parquet(file).height for file in files] == [200] * (rows // 200) + [rows % 200]
    again = LargeTable.scan(tmp_path / "out", scratch=tmp_path / "again")
    assert again.fingerprint() == large.fingerprint()
    assert write_partitioned(large.collect(), tmp_path / "whole") == frame.height
    with pytest.raises(TableError, match="holds Parquet files already"):
        write_partitioned(large.collect(), tmp_path / "whole")
    with pytest.raises(TableError, match="there are no outcomes to write"):
        write_partitioned([], tmp_path / "nothing")


def test_a_table_is_written_to_a_url(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")

    large = gathered(cut(outcomes(100), tmp_path / "many", 1), tmp_path / "gathered")
    write_partitioned(large.blocks(), "memory://written/here", file_rows=100)
    again = LargeTable.scan("memory://written/here", scratch=tmp_path / "again")
    assert again.fingerprint() == large.fingerprint()
    with pytest.raises(TableError, match="holds Parquet files already"):
        write_partitioned(large.blocks(), "memory://written/here")
    fsspec.filesystem("memory").rm("/written", recursive=True)


def test_a_folder_says_whether_costs_were_measured(tmp_path: Path) -> None:
    large = gathered(cut(outcomes(60).drop("cost"), tmp_path / "many", 1), tmp_path / "gathered")
    table = large.with_usable_costs().collect()
    write_partitioned(table, tmp_path / "out", file_rows=70)
    nominal = LargeTable.scan(tmp_path / "out", scratch=tmp_path / "again")
    assert nominal.cost_basis == "nominal"
    assert same(nominal.collect(), table)
    outcomes(90).filter(pl.col("task_id").cast(pl.Int64) >= 60).write_parquet(
        tmp_path / "out" / "measured.parquet"
    )
    mixed = LargeTable.scan(tmp_path / "out", scratch=tmp_path / "mixed")
    assert (len(mixed), mixed.cost_basis) == (90, "nominal")
