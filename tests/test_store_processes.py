"""Stores that several processes use at once, and writers that are killed, on both databases."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fusionfactory.store import Store
from fusionfactory.types import Outcome
from store_programs import APPENDER, IMPORTER, MIXER, OPENER, kill, new_store, read_line, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

_BIG = 100_000


def check_integrity(url: str) -> None:
    """PostgreSQL has no such check; what it holds is looked at by the tests themselves."""
    if "://" in url:
        return
    with closing(sqlite3.connect(url)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def finish(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        _, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint


def test_a_killed_writer_loses_nothing_acknowledged(store_url: str) -> None:
    new_store(store_url, ["m"]).close()
    process = start(APPENDER, store_url, "m", "100000")
    assert read_line(process) == "ready"
    acknowledged = 0
    while acknowledged < 25:
        acknowledged = int(read_line(process))
    said = kill(process)
    acknowledged = int(said[-1]) if said else acknowledged
    check_integrity(store_url)
    with Store(store_url) as store:
        keys = store.keys()
        samples = sorted({sample for _, _, sample in keys})
        assert samples == list(range(len(samples)))
        assert len(samples) > acknowledged
        # An append of three is there or not, never in part.
        assert store.count() == 3 * len(samples)
        assert all(len(outcome.scores) == 2 for outcome in store.outcomes())


def _is_importing(url: str, store: Store) -> bool:
    if "://" not in url:
        wal = Path(f"{url}-wal")
        return wal.exists() and wal.stat().st_size > 5_000_000
    select = sa.text("SELECT count(*) FROM pg_stat_progress_copy WHERE tuples_processed > 0")
    with store.transaction() as connection:
        return bool(connection.execute(select).scalar())


def test_a_killed_import_leaves_all_or_nothing(store_url: str) -> None:
    with new_store(store_url, ["first"]) as store:
        store.append([Outcome("q0", "first")])
        process = start(IMPORTER, store_url, str(_BIG))
        assert read_line(process) == "ready"
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if _is_importing(store_url, store):
                break
            time.sleep(0.002)
        said = kill(process) if process.poll() is None else process.communicate()[0].split()
    check_integrity(store_url)
    with Store(store_url) as store:
        keys = store.keys()
        assert ("q0", "first", 0) in keys
        whole = {_BIG + 1} if "done" in said else {1, _BIG + 1}
        assert store.count() in whole
        assert sum(1 for _ in store.queries()) == store.count() + 2


def test_two_processes_and_a_reader_share_a_store(store_url: str) -> None:
    with new_store(store_url, ["a", "b"]) as store:
        writers = [start(APPENDER, store_url, arm, "40") for arm in ("a", "b")]
        while any(writer.poll() is None for writer in writers):
            store.count()
            time.sleep(0.02)
        finish(writers)
        assert store.count() == 2 * 40 * 3


def test_processes_create_one_store(store_url: str) -> None:
    finish([start(OPENER, store_url) for _ in range(3)])
    with Store(store_url) as store:
        assert store.count() == 0


def test_writers_of_the_same_rows_lose_none_and_wait_in_no_circle(store_url: str) -> None:
    rounds, names = 8, ("a", "b", "c")
    with Store(store_url) as store:
        writers = [start(MIXER, store_url, name, str(rounds)) for name in names]
        finish(writers)
        ids = {query.id for query in store.queries()}
        assert ids == {f"shared{i}" for i in range(30)}
        mine = {(i, name, step) for i in ids for name in names for step in range(rounds)}
        assert store.keys() == mine | {(i, arm, 0) for i in ids for arm in ("both", "framed")}
        assert {arm.name for arm in store.arms()} == {*names, "both", "framed"}
        for outcome in store.outcomes():
            if outcome.arm == "both":
                said = {score.name: score for score in outcome.scores}
                # An outcome and its scores are of one writer, whichever that was.
                assert outcome.response == f"{said['style'].scorer} {rounds - 1}"
                assert said["taste"].value == 1.0
