"""Outcomes per second of the collector itself: questions to an endpoint and into a durable store.

The endpoint is the chaos server without faults, in a process of its own. Beside it, in the same
run: the client alone, without a store. Run it with
`python benchmarks/collect.py [--calls N] [--concurrency N]`. Target: 500 outcomes/s at 64.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

from clients import MODEL, calls_per_s, endpoint
from fusionfactory.clients import ChatRequest, EndpointClient
from fusionfactory.collect import ArmCall, collect
from fusionfactory.pricing import CallPrice
from fusionfactory.store import Store
from fusionfactory.types import Arm, Query

TARGET_PER_S = 500.0


def make_calls(count: int) -> list[ArmCall]:
    """As many questions for one arm."""
    price = CallPrice(None, input_price=1.0, output_price=2.0)
    return [
        ArmCall(
            Query(f"q{i}", f"Question {i}: what follows from this?", task="t"),
            Arm(MODEL),
            ChatRequest(MODEL, ({"role": "user", "content": f"Question {i}: what follows?"},)),
            "chaos",
            price,
        )
        for i in range(count)
    ]


async def client_alone(url: str, calls: int, concurrency: int) -> float:
    """Calls per second of the client without a store."""
    client = EndpointClient(url, concurrency=concurrency)

    async def ask(prompt: str) -> str:
        message = {"role": "user", "content": prompt}
        return (await client.complete(ChatRequest(MODEL, (message,)))).text

    try:
        return (await calls_per_s(ask, calls, concurrency))[0]
    finally:
        await client.close()


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=64)
    args = parser.parse_args()
    with endpoint() as url, tempfile.TemporaryDirectory() as folder:
        alone = asyncio.run(client_alone(url, args.calls, args.concurrency))
        with Store(Path(folder) / "runs.db") as store:
            calls = make_calls(args.calls)
            client = EndpointClient(url, concurrency=args.concurrency)
            cpu = time.process_time()
            summary = collect(store, calls, {"chaos": client})
            cpu = time.process_time() - cpu
            stored = store.count()
    rate = summary.done / summary.seconds
    verdict = "PASS" if rate >= TARGET_PER_S and stored == args.calls else "FAIL"
    print(
        f"collector: {rate:.0f} outcomes/s into the store with {args.concurrency} at a time "
        f"({summary.done / cpu:.0f} per CPU second), target {TARGET_PER_S:.0f}: {verdict}"
    )
    print(f"client alone: {alone:.0f} calls/s; the store costs a factor of {alone / rate:.2f}")
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
