"""Records for the tests of the gateway's log, and a program that writes them and can be killed.

Run as `python gateway_log.py FOLDER WORKER`, it writes until it is killed and prints the id of each
record once that is acknowledged. As `python gateway_log.py full FOLDER`, it fills a small disk.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from fusionfactory.gateway.log.journal import Journal
from fusionfactory.gateway.log.record import Attempt, Record, new_id
from fusionfactory.serve_settings import LogSettings

ARMS = ("small", "big", "big|think")


def a_record(**changes: Any) -> Record:  # noqa: ANN401  any field's
    """A request that a router sent to `small`, with every field filled in."""
    fields: dict[str, Any] = {
        "id": new_id("req"),
        "at": time.time(),
        "asked": "auto",
        "key": "alice",
        "session": "5e55",
        "text": "What is the capital of France?",
        "policy": "balance",
        "router": "v1",
        "why": "best",
        "chosen": "small",
        "propensity": 0.9,
        "propensities": {"small": 0.9, "big": 0.1},
        "estimates": {"small": (0.75, 0.0001), "big": (0.875, 0.01), "big|think": (0.5, None)},
        "excluded": {"big|think": "no tools"},
        "shadow": {"v2": "big"},
        "attempts": [Attempt("small", 0.5, 200, None, 0.0002)],
        "arm": "small",
        "status": 200,
        "response": "Paris.",
        "finish_reason": "stop",
        "logprob": -0.25,
        "input_tokens": 12,
        "output_tokens": 3,
        "cost_usd": 0.0002,
        "latency_s": 0.6,
        "first_byte_s": 0.2,
        "upstream_s": 0.5,
        "cache": "miss",
    }
    return Record(**(fields | changes))


async def write(folder: Path, *records: Record, settings: LogSettings | None = None) -> None:
    """Into a segment that has ended."""
    journal = Journal(folder, 0, settings or LogSettings())
    journal.start()
    for record in records:
        assert await journal.write(record)
    await journal.close()


async def _endless(folder: Path, worker: int) -> None:
    journal = Journal(folder, worker, LogSettings())
    journal.start()

    async def one() -> None:
        record = a_record(response="Paris. " * 40)
        if await journal.write(record):
            os.write(1, f"{record.id}\n".encode())

    while True:
        await asyncio.gather(*(one() for _ in range(20)))


async def _full(folder: Path) -> None:
    """Until the disk is full, then with room again; longest time that the loop stood still."""
    ballast = folder / "ballast"
    ballast.write_bytes(b"x" * 100_000)
    journal = Journal(folder / "journal", 0, LogSettings(queue=50, wait_s=0.05, when_full="refuse"))
    journal.start()
    stalled = 0.0

    async def watch() -> None:
        nonlocal stalled
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            stalled = max(stalled, time.perf_counter() - before)

    watcher = asyncio.create_task(watch())
    kept: list[str] = []
    while not journal.failing:
        record = a_record(response="Paris. " * 300)
        if await journal.write(record):
            kept.append(record.id)
    late = [a_record() for _ in range(60)]
    assert not any([await journal.write(record) for record in late])
    print(f"refusing {journal.failing!r} waiting {journal.waiting} shed {journal.shed}")  # noqa: T201
    ballast.unlink()
    while journal.failing:
        await asyncio.sleep(0.01)
    record = a_record()
    assert await journal.write(record)
    watcher.cancel()
    await journal.close()
    print("stalled", stalled)  # noqa: T201
    print("kept", *kept, record.id)  # noqa: T201
    print("written", journal.written, "shed", journal.shed)  # noqa: T201
    for segment in sorted((folder / "journal").iterdir()):
        sys.stdout.write(segment.read_text(encoding="utf-8"))


if __name__ == "__main__":
    first, second = sys.argv[1:3]
    asyncio.run(_full(Path(second)) if first == "full" else _endless(Path(first), int(second)))
