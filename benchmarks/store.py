"""Import of a million outcomes into a SQLite store and back, against a plain sqlite3 loop.

The peer is what tools without a store do: one `INSERT` per outcome of a JSON document through the
standard library's `sqlite3` (`executemany`), and `json.loads` of every row to read. Both write to
the same disk in one run. Run it with `python benchmarks/store.py [--outcomes N]`; wall-clock times
depend on what else the machine does, so CPU seconds stand beside them.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fusionfactory.store import Store
from fusionfactory.table import CELLS, OutcomeTable
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Iterator

ARMS = 20
RESPONSE = "The answer is {}, because the second term cancels."


class Stopwatch:
    """Wall-clock and CPU seconds of a block."""

    def __enter__(self) -> Stopwatch:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.perf_counter() - self._wall
        self.cpu_s = time.process_time() - self._cpu


def make_table(outcomes: int) -> OutcomeTable:
    """A complete table with every number and a short response in each cell."""
    rng = np.random.default_rng(0)
    n = outcomes // ARMS
    queries = pl.DataFrame(
        {
            "query_id": [f"task{i % 14}:{i}" for i in range(n)],
            "query": [f"Question {i}: " + "what follows from this? " * 8 for i in range(n)],
            "task": [f"task{i % 14}" for i in range(n)],
            **{name: ["x"] * n for name in ("domain", "target", "metric", "split", "description")},
        }
    )
    cells: dict[str, Any] = {name: rng.random((n, ARMS)) for name in CELLS}
    cells["logprob"] = -cells["logprob"]
    cells["input_tokens"] = np.floor(cells["input_tokens"] * 1000)
    cells["output_tokens"] = np.floor(cells["output_tokens"] * 1000)
    texts = np.array([RESPONSE.format(i) for i in range(n * ARMS)], dtype=object)
    arms = tuple(Arm(f"model-{j}", input_price=0.1, output_price=0.2) for j in range(ARMS))
    return OutcomeTable(queries, arms, responses=texts.reshape(n, ARMS), **cells)


def peer_rows(table: OutcomeTable) -> Iterator[tuple[str, str, int, str]]:
    """(query, arm, sample, JSON) of each outcome."""
    for row in table.to_long().select("query_id", "arm", *CELLS, "response").iter_rows(named=True):
        yield row["query_id"], row["arm"], 0, json.dumps(row)


def peer_write(path: Path, table: OutcomeTable) -> None:
    """A JSON document per row."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE log (query TEXT, arm TEXT, sample INT, doc TEXT, "
            "PRIMARY KEY (query, arm, sample))"
        )
        connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?)", peer_rows(table))


def peer_read(path: Path) -> int:
    """Every document into a dictionary by key, as far as such tools go."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT query, arm, doc FROM log")
        return len({(query, arm): json.loads(doc) for query, arm, doc in rows})


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    count = parser.parse_args().outcomes
    table = make_table(count)
    with tempfile.TemporaryDirectory() as folder:
        path, other = Path(folder) / "store.db", Path(folder) / "peer.db"
        with Store(path) as store:
            with Stopwatch() as write:
                written = store.write_table(table)
            with Stopwatch() as read:
                again = store.table()
            with Stopwatch() as numbers:
                store.table(responses=False)
        with Stopwatch() as theirs_write:
            peer_write(other, table)
        with Stopwatch() as theirs_read:
            peer_read(other)
        sizes = [round(file.stat().st_size / 2**20) for file in (path, other)]
    report = {
        "outcomes": written,
        "import_s": round(write.wall_s, 2),
        "import_cpu_s": round(write.cpu_s, 2),
        "import_rows_per_s": round(written / write.wall_s),
        "table_s": round(read.wall_s, 2),
        "table_cpu_s": round(read.cpu_s, 2),
        "table_without_responses_s": round(numbers.wall_s, 2),
        "same_fingerprint": again.fingerprint() == table.fingerprint(),
        "store_mib": sizes[0],
        "peer": "sqlite3 executemany of JSON rows",
        "peer_import_s": round(theirs_write.wall_s, 2),
        "peer_read_s": round(theirs_read.wall_s, 2),
        "peer_mib": sizes[1],
        "import_speed_over_peer": round(theirs_write.wall_s / write.wall_s, 2),
        "read_speed_over_peer": round(theirs_read.wall_s / read.wall_s, 2),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
