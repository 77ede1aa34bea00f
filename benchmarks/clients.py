"""Chat calls per second of `EndpointClient` against the official `openai` client.

Both call the chaos endpoint in its fault-free mode, which runs in a process of its own, with the
same prompts and as many at a time. The rounds of the two take turns, and the best round of each
counts, so that other work on the machine disturbs both alike. Run it with
`python benchmarks/clients.py [--calls N] [--concurrency N] [--rounds N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fusionfactory.clients import ChatRequest, EndpointClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

MODEL = "chaos-small"
FILLER = "what follows from this? " * 20


@contextmanager
def endpoint() -> Iterator[str]:
    """The chaos endpoint without faults, in a process of its own; its base URL."""
    command = [sys.executable, "-m", "fusionfactory.clients.chaos", "--faults", "0", "--fatal", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101  asked for above
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


async def calls_per_s(
    call: Callable[[str], Awaitable[str]], calls: int, concurrency: int
) -> tuple[float, float]:
    """Calls per second of wall-clock time, and of this process's CPU time."""
    prompts = iter([f"Question {i}: {FILLER}" for i in range(calls)])

    async def work() -> None:
        for prompt in prompts:
            assert await call(prompt)  # noqa: S101  an empty answer would be no answer

    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return calls / (time.perf_counter() - start), calls / (time.process_time() - cpu)


async def measure(url: str, calls: int, concurrency: int, rounds: int) -> dict[str, object]:
    """Rounds of the two clients in turn."""
    from openai import AsyncOpenAI

    ours = EndpointClient(url, concurrency=concurrency)
    theirs = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)

    async def by_us(prompt: str) -> str:
        message = {"role": "user", "content": prompt}
        return (await ours.complete(ChatRequest(MODEL, (message,)))).text

    async def by_them(prompt: str) -> str:
        message = {"role": "user", "content": prompt}
        reply = await theirs.chat.completions.create(model=MODEL, messages=[message])
        return reply.choices[0].message.content

    figures: dict[str, list[tuple[float, float]]] = {"ours": [], "openai": []}
    try:
        for _ in range(rounds):
            figures["ours"].append(await calls_per_s(by_us, calls, concurrency))
            figures["openai"].append(await calls_per_s(by_them, calls, concurrency))
    finally:
        await ours.close()
        await theirs.close()
    (mine, my_cpu), (peer, peer_cpu) = (
        tuple(max(values) for values in zip(*rows, strict=True)) for rows in figures.values()
    )
    return {
        "calls": calls,
        "concurrency": concurrency,
        "rounds": rounds,
        "cores": os.cpu_count(),
        "calls_per_s": round(mine),
        "calls_per_cpu_s": round(my_cpu),
        "peer": "openai.AsyncOpenAI",
        "peer_calls_per_s": round(peer),
        "peer_calls_per_cpu_s": round(peer_cpu),
        "speed_over_peer": round(mine / peer, 2),
        "speed_over_peer_per_cpu_s": round(my_cpu / peer_cpu, 2),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with endpoint() as url:
        report = asyncio.run(measure(url, options.calls, options.concurrency, options.rounds))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
