"""What the gateway's log costs: loop time per record, ingestion, bytes on disk, sums of traffic.

Requests carry the estimates of 8 arms and texts of about 500 characters. `loop_us` is CPU time of
the loop's thread per `Journal.write`, with so many requests at a time. Run it with
`python benchmarks/gateway_log.py [--requests N] [--store URL]`; the database is one that is not
there yet, SQLite in a temporary folder by default. CPU times stand beside wall-clock times, which
depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.gateway.log.journal import Journal
from fusionfactory.gateway.log.record import Attempt, Record, new_id
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.serve_settings import LogSettings
from fusionfactory.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

ARMS = tuple(f"model-{number}" for number in range(8))
CONNECTIONS = (1, 8, 64)
SPAN_S = 86_400.0
MOST_LOOP_US, LEAST_PER_S, MOST_BYTES = 40, 1000, 2000
TEXT = "What follows from the second law of thermodynamics for a closed system? " * 3
ANSWER = "Its entropy does not decrease, for every process in it is irreversible or ideal. " * 4


def make_records(count: int) -> list[Record]:
    """Requests of a day, most of them answered by few arms."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(ARMS), count, p=np.array([8, 4, 2, 2, 1, 1, 1, 1]) / 20)
    latency = rng.lognormal(0.0, 0.8, count)
    quality, cost = rng.random((count, len(ARMS))), rng.random((count, len(ARMS))) / 100
    begin = time.time() - SPAN_S
    return [
        Record(
            id=new_id("req"),
            at=begin + SPAN_S * number / count,
            asked="auto",
            key=f"key-{number % 7}",
            session=f"{number:032x}",
            text=TEXT,
            policy="balance",
            router="20260101-1",
            why="explore" if number % 20 == 0 else "best",
            chosen=ARMS[chosen[number]],
            propensity=0.95,
            propensities=dict.fromkeys(ARMS, 0.05),
            estimates={
                arm: (float(quality[number, place]), float(cost[number, place]))
                for place, arm in enumerate(ARMS)
            },
            attempts=[Attempt(ARMS[chosen[number]], float(latency[number]), 200, None, 0.001)],
            arm=ARMS[chosen[number]],
            status=200,
            response=ANSWER,
            finish_reason="stop",
            input_tokens=60,
            output_tokens=90,
            cost_usd=0.001,
            latency_s=float(latency[number]),
            first_byte_s=float(latency[number]) / 3,
            upstream_s=float(latency[number]),
        )
        for number in range(count)
    ]


async def write_all(folder: Path, records: list[Record], connections: int) -> dict[str, float]:
    """Every record, so many at a time."""
    journal = Journal(folder, 0, LogSettings())
    journal.start()
    waits: list[float] = []

    async def client(mine: list[Record]) -> None:
        for record in mine:
            before = time.perf_counter()
            if not await journal.write(record):
                message = f"a record was not kept: {journal.failing}"
                raise RuntimeError(message)
            waits.append(time.perf_counter() - before)

    cpu = time.thread_time()
    await asyncio.gather(*(client(records[n::connections]) for n in range(connections)))
    cpu = time.thread_time() - cpu
    await journal.close()
    p50, p99 = np.quantile(waits, (0.5, 0.99)) * 1e3
    loop_us = round(cpu / len(records) * 1e6, 1)
    return {"loop_us": loop_us, "wait_ms_p50": round(p50, 2), "wait_ms_p99": round(p99, 2)}


def verdict(holds: bool) -> str:
    """PASS or FAIL."""
    return "PASS" if holds else "FAIL"


def timed(call: Callable[[], Any]) -> dict[str, float]:
    """Wall-clock and CPU seconds, the least of three."""
    found = []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = (min(part) for part in zip(*found, strict=True))
    return {"wall_s": round(wall, 4), "cpu_s": round(cpu, 4)}


def ingest(store: Store, folder: Path, count: int) -> dict[str, float]:
    """All that is in the folder."""
    ingester = Ingester(store, folder, LogSettings())
    wall, cpu = time.perf_counter(), time.process_time()
    while ingester.step():
        pass
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "ingest_us_cpu": round(cpu / count * 1e6, 1),
        "ingest_per_s_cpu": round(count / cpu),
        "ingest_per_s": round(count / wall),
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--store")
    options = parser.parse_args()
    count = options.requests
    records = make_records(count)
    report: dict[str, Any] = {"requests": count, "text_bytes": len(TEXT) + len(ANSWER)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        share = count // len(CONNECTIONS)
        for place, connections in enumerate(CONNECTIONS):
            last = place == len(CONNECTIONS) - 1
            mine = records[place * share : None if last else (place + 1) * share]
            written = asyncio.run(write_all(folder / "journal", mine, connections))
            report[f"write_{connections}"] = written
        path = folder / "runs.db"
        with Store(options.store or path) as store:
            report |= ingest(store, folder / "journal", count)
            traffic = Traffic(store)
            since = time.time() - SPAN_S - 60
            report["summary"] = timed(lambda: traffic.summary(since))
            report["series"] = timed(lambda: traffic.series(since, 96))
            report["recent"] = timed(lambda: traffic.recent(50))
            report["decision"] = timed(lambda: traffic.decision(records[count // 2].id))
            report["logged"] = timed(lambda: traffic.logged(since))
        if options.store is None:
            each = path.stat().st_size / count
            report["store_bytes"] = round(each)
            report["store_bytes_beyond_texts"] = round(each - report["text_bytes"])
            report["bytes_below_2000"] = verdict(report["store_bytes_beyond_texts"] < MOST_BYTES)
    loop_us = max(report[f"write_{connections}"]["loop_us"] for connections in CONNECTIONS)
    report["loop_below_40_us"] = verdict(loop_us < MOST_LOOP_US)
    report["ingests_1000_per_s"] = verdict(report["ingest_per_s"] >= LEAST_PER_S)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
