"""One step of `scaling.py` in a process of its own, so that its peak memory is its own, too.

    python benchmarks/scaling_steps.py STEP FOLDER [--store URL] [--outcomes N] [--table FILE]

prints a JSON object: rows, seconds, CPU seconds, and the most memory that the process had.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.cli import main as cli_main
from fusionfactory.large import LargeTable, write_partitioned
from fusionfactory.store import Store
from synthetic_outcomes import repeated

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE, GATHERED = "source", "gathered"


def nothing(_options: argparse.Namespace) -> int:
    """What a process has before it does anything."""
    return 0


def generate(options: argparse.Namespace) -> int:
    """Real outcomes, repeated, each copy with texts of its own, into Parquet."""
    # The table is sorted by task: a part of it is to be like the whole.
    table = pl.read_parquet(options.table).sort(pl.col("query").hash(0), maintain_order=True)
    frames = repeated(table, options.outcomes, distinct=True)
    return write_partitioned(frames, options.folder / SOURCE)


def gather(options: argparse.Namespace) -> int:
    """Parquet in any order into parts that hold whole queries."""
    return LargeTable.gather(options.folder / SOURCE, options.folder / GATHERED).n_outcomes


def scan(options: argparse.Namespace) -> int:
    """Every number and question of the gathered table, block by block."""
    table = LargeTable.open(options.folder / GATHERED)
    return sum(int(block.observed().sum()) for block in table.blocks())


def write(options: argparse.Namespace) -> int:
    """The gathered table into a store, with responses, a transaction per block."""
    with Store(options.store) as store:
        blocks = LargeTable.open(options.folder / GATHERED).blocks(responses=True)
        return sum(store.write_table(block) for block in blocks)


def read(options: argparse.Namespace) -> int:
    """The store's numbers and questions into arrays, all at once."""
    with Store(options.store) as store:
        return int(store.table(responses=False).observed().sum())


def fit_store(options: argparse.Namespace) -> int:
    """`fusionfactory fit` of a ridge router on the whole store, in memory."""
    router = options.folder / "router-of-store"
    return _verb(options, "fit", options.store, "--holdout", "0", "--out", str(router))


def fit_folder(options: argparse.Namespace) -> int:
    """The same on the gathered table, block by block."""
    table, router = options.folder / GATHERED, options.folder / "router-of-folder"
    return _verb(options, "fit", str(table), "--holdout", "0", "--out", str(router))


def evaluate_folder(options: argparse.Namespace) -> int:
    """`fusionfactory evaluate` of ridge and clusters on the gathered table, with a report."""
    report = ("--json", str(options.folder / "evaluation.json"))
    table = str(options.folder / GATHERED)
    return _verb(options, "evaluate", table, "--router", "clusters", *report)


def _verb(options: argparse.Namespace, verb: str, *arguments: str) -> int:
    with redirect_stdout(sys.stderr):
        try:
            cli_main([verb, *arguments, "--router", "ridge"])
        except SystemExit as end:
            if end.code:
                raise
    return LargeTable.open(options.folder / GATHERED).n_outcomes


STEPS: dict[str, Callable[[argparse.Namespace], int]] = {
    step.__name__: step for step in (
        nothing, generate, gather, scan, write, read, fit_store, fit_folder, evaluate_folder,
    )
}  # fmt: skip


def peak_mib() -> float:
    """The most memory of this process so far; of its program alone, unlike `ru_maxrss`."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        sys.exit("/proc/self/status does not tell VmHWM: this needs Linux")
    return int(found[1]) / 1024


def main() -> None:
    """Does the step and prints what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--store")
    parser.add_argument("--outcomes", type=int)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    wall, cpu = time.perf_counter(), time.process_time()
    rows = STEPS[options.step](options)
    took = {"seconds": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps({"rows": rows, **took, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
