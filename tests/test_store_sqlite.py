"""SQLite stores: kills, several processes, versions and what is no store."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fusionfactory
from fusionfactory.errors import MissingExtraError, StoreError
from fusionfactory.store import SCHEMA_VERSION, Store
from fusionfactory.types import Arm, Outcome, Query, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = str(Path(str(fusionfactory.__file__)).parents[1])

APPENDER = """
import sys
from fusionfactory.store import Store
from fusionfactory.types import Outcome, Score
path, arm, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Store(path) as store:
    print("ready", flush=True)
    for sample in range(count):
        scores = (Score("performance", 1.0), Score("style", 0.5))
        store.append([Outcome(f"q{q}", arm, sample, "x" * 500, scores=scores) for q in range(3)])
        print(sample, flush=True)
"""

IMPORTER = """
import sys
import polars as pl
from fusionfactory.store import Store
from fusionfactory.layout import to_long
n = 200_000
rows = pl.DataFrame({"query": [f"{i}?" for i in range(n)]}).with_columns(
    task_name=pl.lit("t"), llm=pl.lit("m"), performance=pl.lit(1.0), response=pl.lit("x" * 300))
long = to_long(rows)
with Store(sys.argv[1]) as store:
    print("ready", flush=True)
    store.write_frame(long)
    print("done", flush=True)
"""


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": SOURCE}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> list[str]:
    """Kills the process at once; what it had said by then."""
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    return said.split()


def new_store(path: Path, arms: Sequence[str]) -> Store:
    store = Store(path)
    store.add_queries(Query(f"q{i}", f"{i}?") for i in range(3))
    store.add_arms(map(Arm, arms))
    return store


def check_integrity(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    new_store(path, ["m"]).close()
    process = start(APPENDER, str(path), "m", "100000")
    assert read_line(process) == "ready"
    acknowledged = 0
    while acknowledged < 25:
        acknowledged = int(read_line(process))
    said = kill(process)
    acknowledged = int(said[-1]) if said else acknowledged
    check_integrity(path)
    with Store(path) as store:
        keys = store.keys()
        samples = sorted({sample for _, _, sample in keys})
        assert samples == list(range(len(samples)))
        assert len(samples) > acknowledged
        assert store.count() == 3 * len(
            samples
        )  # an append of three is there or not, never in part
        assert all(len(outcome.scores) == 2 for outcome in store.outcomes())


def test_a_killed_import_leaves_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    new_store(path, ["first"]).close()
    with Store(path) as store:
        store.append([Outcome("q0", "first")])
    process = start(IMPORTER, str(path))
    assert read_line(process) == "ready"
    wal = Path(f"{path}-wal")
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if wal.exists() and wal.stat().st_size > 5_000_000:
            break
        time.sleep(0.005)
    said = kill(process) if process.poll() is None else ["done"]
    check_integrity(path)
    with Store(path) as store:
        keys = store.keys()
        assert ("q0", "first", 0) in keys
        assert store.count() in ({200_001} if "done" in said else {1, 200_001})


def test_two_processes_and_a_reader_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with new_store(path, ["a", "b"]) as store:
        writers = [start(APPENDER, str(path), arm, "40") for arm in ("a", "b")]
        while any(writer.poll() is None for writer in writers):
            store.count()
            time.sleep(0.02)
        assert [writer.wait() for writer in writers] == [0, 0]
        for writer in writers:
            writer.communicate()
        assert store.count() == 2 * 40 * 3


def test_a_file_that_another_one_is_creating_is_waited_for(tmp_path: Path) -> None:
    """SQLite refuses the change to write-ahead logging at once while somebody writes."""
    path = tmp_path / "runs.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE other (x)")
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, other.execute, ["ROLLBACK"])
        release.start()
        with Store(path) as store:
            assert store.count() == 0
        release.join()


def test_two_processes_create_one_store(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    program = "import sys; from fusionfactory.store import Store; Store(sys.argv[1]).close()"
    openers = [start(program, str(path)) for _ in range(2)]
    assert [opener.wait() for opener in openers] == [0, 0]
    for opener in openers:
        opener.communicate()
    with Store(path) as store:
        assert store.count() == 0


VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO meta VALUES ('schema_version', '1');
CREATE TABLE queries (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL,
    task TEXT, domain TEXT, target TEXT, metric TEXT, split TEXT, description TEXT);
CREATE TABLE arms (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, model TEXT NOT NULL,
    strategy TEXT NOT NULL, input_price DOUBLE, output_price DOUBLE, description TEXT);
CREATE TABLE outcomes (query_no INTEGER NOT NULL, arm_no INTEGER NOT NULL, sample INTEGER NOT NULL,
    performance DOUBLE, llm_judge DOUBLE, cost_usd DOUBLE, input_tokens DOUBLE,
    output_tokens DOUBLE, latency_s DOUBLE, response TEXT, error TEXT, created TEXT,
    PRIMARY KEY (query_no, arm_no, sample));
CREATE TABLE scores (query_no INTEGER NOT NULL, arm_no INTEGER NOT NULL, sample INTEGER NOT NULL,
    name TEXT NOT NULL, scorer TEXT NOT NULL, version TEXT NOT NULL, value DOUBLE NOT NULL,
    reason TEXT, PRIMARY KEY (query_no, arm_no, sample, name, scorer, version));
INSERT INTO queries (no, id, text) VALUES (1, 'q', 'Old?');
INSERT INTO arms (no, name, model, strategy) VALUES (1, 'm', 'm', 'direct');
INSERT INTO outcomes (query_no, arm_no, sample, performance, response) VALUES (1, 1, 0, 0.5, 'x');
"""


def write_raw(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(script)


def test_a_store_of_version_1_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    write_raw(path, VERSION_1)
    with Store(path) as store:
        old = Outcome("q", "m", response="x", scores=(Score("performance", 0.5),))
        assert list(store.outcomes()) == [old]
        store.append([Outcome("q", "m", 1, propensity=0.25)])
    with Store(path) as store:
        assert [outcome.propensity for outcome in store.outcomes()] == [None, 0.25]
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT value FROM meta").fetchall() == [(str(SCHEMA_VERSION),)]


META = "CREATE TABLE meta (key TEXT, value TEXT)"
NEWER = "; INSERT INTO meta VALUES ('schema_version', '99')"
GARBLED = "; INSERT INTO meta VALUES ('schema_version', 'two')"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            META + NEWER,
            f"has schema version 99, this program knows up to {SCHEMA_VERSION}: upgrade",
        ),
        (META, r"states no schema version \(found None\)"),
        ("CREATE TABLE meta (x TEXT)", "states no schema version"),
        (
            META + GARBLED,
            r"states no schema version \(found 'two'\)",
        ),
        ("CREATE TABLE queries (x TEXT)", "has a table 'queries' but no FusionFactory store"),
    ],
)
def test_what_is_no_store_of_ours(tmp_path: Path, script: str, message: str) -> None:
    path = tmp_path / "x.db"
    write_raw(path, script)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"x\.db: .*{message}"):
        Store(path)
    with closing(sqlite3.connect(path)) as raw:
        assert len(raw.execute("SELECT name FROM sqlite_master").fetchall()) == 1
    assert before[:16] == path.read_bytes()[:16]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Not a database. " * 100)
    with pytest.raises(StoreError, match=r"notes\.txt: file is not a database"):
        Store(path)
    assert path.read_text().startswith("Not a database")
    with pytest.raises(StoreError, match="unable to open database file"):
        Store(tmp_path)
    with pytest.raises(StoreError, match=r"notes\.txt/a\.db: "):
        Store(path / "a.db")


def test_a_damaged_store(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with new_store(path, ["m"]) as store:
        store.append([Outcome("q0", "m", i, "x" * 3000) for i in range(50)])
    content = bytearray(path.read_bytes())
    content[20_000:90_000] = b"\xff" * 70_000
    path.write_bytes(bytes(content))
    with Store(path) as store:
        with pytest.raises(StoreError, match=r"runs\.db: .*malformed"):
            list(store.outcomes())
        with pytest.raises(StoreError, match=r"runs\.db: .*malformed"):
            store.table()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:hunter2@host/db", "a store is SQLite or PostgreSQL, not 'mysql'"),
        ("sqlite://", "a SQLite store needs a file"),
        ("sqlite:///:memory:", "a SQLite store needs a file"),
        ("://hunter2", "the URL of the store is malformed"),
        ("postgresql://me:hunter2@host:port/db", "the URL of the store is malformed"),
    ],
)
def test_urls_of_no_store(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        Store(url)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_not_there() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=r"postgresql://127\.0\.0\.1:9/db: ") as caught:
        Store("postgresql://me:hunter2@127.0.0.1:9/db?connect_timeout=2")
    assert "hunter2" not in str(caught.value)


def test_postgres_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"fusionfactory\[postgres\]"):
        Store("postgresql://me@host/db")


def test_a_url_of_sqlite_and_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "runs.db"
    with Store(f"sqlite:///{path}") as store:
        assert repr(store) == f"Store({str(path)!r})"
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
