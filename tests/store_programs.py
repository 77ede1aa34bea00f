"""Processes that write to a store, for tests that let many of them run, or kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import fusionfactory
from fusionfactory.store import Store
from fusionfactory.types import Arm, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["APPENDER", "IMPORTER", "MIXER", "OPENER", "kill", "new_store", "read_line", "start"]

_SOURCE = str(Path(str(fusionfactory.__file__)).parents[1])

OPENER = "import sys; from fusionfactory.store import Store; Store(sys.argv[1]).close()"

APPENDER = """
import sys
from fusionfactory.store import Store
from fusionfactory.types import Outcome, Score
url, arm, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Store(url) as store:
    print("ready", flush=True)
    for sample in range(count):
        scores = (Score("performance", 1.0), Score("style", 0.5))
        store.append([Outcome(f"q{q}", arm, sample, "x" * 500, scores=scores) for q in range(3)])
        print(sample, flush=True)
"""
"""`URL ARM COUNT`: appends as many times, and says each one that is acknowledged."""

IMPORTER = """
import sys
import polars as pl
from fusionfactory.store import Store
from fusionfactory.layout import to_long
n = int(sys.argv[2])
rows = pl.DataFrame({"query": [f"{i}?" for i in range(n)]}).with_columns(
    task_name=pl.lit("t"), llm=pl.lit("m"), performance=pl.lit(1.0), response=pl.lit("x" * 300))
long = to_long(rows)
with Store(sys.argv[1]) as store:
    print("ready", flush=True)
    store.write_frame(long)
    print("done", flush=True)
"""
"""`URL COUNT`: writes a frame of as many rows, and says when it is in."""

MIXER = """
import random
import sys
import polars as pl
from fusionfactory.layout import to_long
from fusionfactory.store import Store
from fusionfactory.types import Arm, Outcome, Query, Score
url, me, rounds, n = sys.argv[1], sys.argv[2], int(sys.argv[3]), 30
order = random.Random(me)
ids = [f"shared{i}" for i in range(n)]
with Store(url) as store:
    print("ready", flush=True)
    for step in range(rounds):
        order.shuffle(ids)
        store.add_queries([Query(i, i, description=f"by {me}") for i in ids])
        store.add_arms([Arm("both"), Arm(me, input_price=step)])
        store.append([Outcome(i, me, step, me) for i in ids])
        order.shuffle(ids)
        said = (Score("performance", 1.0), Score("style", 0.5, me), Score("taste", 0.5, "all"))
        store.upsert([Outcome(i, "both", 0, f"{me} {step}", scores=said) for i in ids])
        order.shuffle(ids)
        store.write_scores([((i, "both", 0), [Score("taste", 1.0, "all")]) for i in ids])
        rows = pl.DataFrame({"query_id": ids, "query": ids}).with_columns(
            task_name=pl.lit("t"), llm=pl.lit("framed"), performance=pl.lit(0.5))
        store.write_frame(to_long(rows), replace=True)
"""
"""`URL NAME ROUNDS`: writes the rows of the others too, by every method, in an order of its own."""


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    """Runs a program in a process of its own."""
    environment = os.environ | {"PYTHONPATH": _SOURCE}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def read_line(process: subprocess.Popen[str]) -> str:
    """The next line that it says; empty once it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> list[str]:
    """Kills the process at once; what it had said by then."""
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    return said.split()


def new_store(url: str, arms: Sequence[str]) -> Store:
    """With the queries `q0`, `q1` and `q2`."""
    store = Store(url)
    store.add_queries(Query(f"q{i}", f"{i}?") for i in range(3))
    store.add_arms(map(Arm, arms))
    return store
