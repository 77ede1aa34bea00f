"""What only stores in SQLite have: a file, that may be damaged, busy or no database."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from fusionfactory.errors import StoreError
from fusionfactory.store import Store
from fusionfactory.types import Outcome
from store_programs import new_store

if TYPE_CHECKING:
    from pathlib import Path


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
    with new_store(str(path), ["m"]) as store:
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


def test_a_url_of_sqlite_and_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "runs.db"
    with Store(f"sqlite:///{path}") as store:
        assert repr(store) == f"Store({str(path)!r})"
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
