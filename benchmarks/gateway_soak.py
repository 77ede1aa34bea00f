"""Mixed load on the gateway before endpoints that misbehave: what is served, lost, paid and leaked.

    python benchmarks/gateway_soak.py [--minutes 30] [--clients 16] [--json FILE]

Of three endpoints two answer with 429, 5xx, silence, cuts, HTML, JSON that breaks off and paid
answers that say nothing, before and after the first byte; the third one is healthy. Streams and
whole answers in turn. Every answer is compared with what its endpoint says to that question; a
broken stream has to end with an error and without `[DONE]`. In the end the costs in the store are
compared with the endpoints' own ledgers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np

from fusionfactory.clients.chaos import Chaos
from fusionfactory.demo import bundled_log
from fusionfactory.routers import make_router, save_router
from fusionfactory.store import Store
from gateway import free_port, running, wait_for
from routing import machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEEDS = {"wild": 1, "worse": 2, "calm": 3}
PRICES = (1.0, 2.0)
HANG_S, FIRST_BYTE_S = 20.0, 2.0
SAMPLE_S = 5.0
OK = 200


@dataclass
class Seen:
    """What the clients saw.

    Attributes:
        answers: `whole`, `stream`, `broken` (a stream that ended with an error) and what must not
            be: `refused`, `wrong`, `false end`.
        said: Ids of answers with their texts.
        examples: Of what must not be.
        memory: Seconds, and bytes of all workers then.
    """

    answers: Counter[str] = field(default_factory=Counter)
    said: dict[str, str] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def fault(self, kind: str, what: object) -> None:
        """Counts what must not be."""
        self.answers[kind] += 1
        if len(self.examples) < 10:
            self.examples.append(f"{kind}: {what}"[:300])


@contextlib.contextmanager
def endpoints(folder: Path) -> Iterator[dict[str, str]]:
    """The three endpoints; name to base URL. Their ledgers lie in the folder."""
    with contextlib.ExitStack() as stack:
        urls = {}
        for name, seed in SEEDS.items():
            bad = [] if name == "calm" else ["--late", ".2", "--drip", ".02"]
            share = ("0", "0") if name == "calm" else (".5", ".1")
            command = [sys.executable, "-m", "fusionfactory.clients.chaos", "--seed", str(seed)]
            command += ["--faults", share[0], "--fatal", share[1], "--streams", *bad]
            command += ["--hang", str(HANG_S), "--prices", *map(str, PRICES)]
            command += ["--log", str(folder / f"{name}.jsonl")]
            process = stack.enter_context(running(command, stdout=subprocess.PIPE))
            line = process.stdout.readline() if process.stdout else ""
            urls[name] = str(json.loads(line)["url"])
        yield urls


def write_settings(folder: Path, urls: dict[str, str], port: int) -> None:
    """A router of the bundled log, whose arms stand at the three endpoints."""
    table = bundled_log()
    save_router(make_router("stack").fit(table), folder / "router")
    strategies: dict[str, list[str]] = {}
    for arm in table.arms:
        strategies.setdefault(arm.model, []).append(arm.strategy)
    # The best arms misbehave: the calm endpoint has to step in.
    order = sorted(strategies, key=lambda model: -float(model.split("-")[-2].rstrip("bm")))
    order.sort(key=lambda model: "135m" in model)
    text = 'store = "log.db"\n'
    for name, url in urls.items():
        text += f'[[endpoints]]\nname = "{name}"\nbase_url = "{url}"\napi_key_env = ""\n'
        text += "concurrency = 64\nbackoff_s = 0.1\n"
    for model, name in zip(order, urls, strict=True):
        text += f'[[models]]\nname = "{model}"\nmodel = "{name}"\nendpoint = "{name}"\n'
        text += f"strategies = {json.dumps(strategies[model])}\n"
        text += f"input_price = {PRICES[0]}\noutput_price = {PRICES[1]}\n"
    text += f'[serve]\nport = {port}\nlog_level = "error"\n[serve.routing]\nauto = "performance"\n'
    text += f"[serve.upstream]\nfirst_byte_s = {FIRST_BYTE_S}\nidle_s = 2.0\nbreaker_open_s = 2.0\n"
    text += "attempts = 8\n[serve.exploration]\nmethod = 'epsilon'\nshare = 0.2\n"
    (folder / "fusionfactory.toml").write_text(text)


class Client:
    """Asks until time is up."""

    def __init__(self, number: int, seen: Seen, session: aiohttp.ClientSession) -> None:
        self.number, self.seen, self.session = number, seen, session

    async def run(self, until: float) -> None:
        """Asks; every second answer is a stream."""
        count = 0
        while time.monotonic() < until:
            count += 1
            text = f"Question {count} of client {self.number}: what is {count} squared?"
            await self.ask(text, stream=count % 2 == 0)

    async def ask(self, text: str, *, stream: bool) -> None:
        """One request, looked at closely."""
        messages = [{"role": "user", "content": text}]
        body = {"model": "auto", "messages": messages, "stream": stream}
        try:
            async with self.session.post("/v1/chat/completions", json=body) as response:
                content = await response.text()
                if response.status != OK:
                    self.seen.fault("refused", f"{response.status} {content}")
                elif stream:
                    self.look_at_stream(content)
                else:
                    self.look_at(json.loads(content))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.seen.fault("refused", f"{type(error).__name__}: {error}")

    def look_at(self, answer: dict[str, Any]) -> None:
        """A whole answer."""
        choice = answer["choices"][0]
        self.keep("whole", answer["id"], choice["message"]["content"], choice["finish_reason"])

    def look_at_stream(self, content: str) -> None:
        """A stream is whole and ends with [DONE], or says that it broke and has no [DONE]."""
        events = [line[6:] for line in content.split("\n") if line.startswith("data: ")]
        done = bool(events) and events[-1] == "[DONE]"
        chunks = [json.loads(event) for event in events if event != "[DONE]"]
        broken = any("error" in chunk for chunk in chunks)
        choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
        said = "".join(choice["delta"].get("content") or "" for choice in choices)
        ends = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
        if broken and not done:
            self.seen.answers["broken"] += 1
        elif done and not broken and len(ends) == 1:
            self.keep("stream", chunks[0]["id"], said, ends[0])
        else:
            self.seen.fault("false end", content[-300:])

    def keep(self, kind: str, id_: str, text: str, end: str) -> None:
        """Counts an answer whose end fits, and keeps it: its words are looked at in the end."""
        if end != ("stop" if text else "length"):
            self.seen.fault("wrong", (id_, text, end))
            return
        self.seen.answers[kind] += 1
        self.seen.said[id_.removeprefix("chatcmpl-")] = text


def memory(supervisor: int) -> float:
    """Resident bytes of the supervisor's children that answer."""
    total = 0.0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (folder / "cmdline").read_bytes()
            if parent == supervisor and b"operations.worker" in command:
                total += float((folder / "statm").read_text().split()[1]) * os.sysconf(
                    "SC_PAGE_SIZE"
                )
    return total


async def load(url: str, seen: Seen, clients: int, seconds: float, supervisor: int) -> None:
    """All clients, and a look at the memory every few seconds."""
    begin = time.monotonic()
    until = begin + seconds
    timeout = aiohttp.ClientTimeout(total=60.0)
    async with aiohttp.ClientSession(url, timeout=timeout) as session:
        asked = [asyncio.create_task(Client(i, seen, session).run(until)) for i in range(clients)]
        while time.monotonic() < until:
            await asyncio.sleep(SAMPLE_S)
            seen.memory.append((time.monotonic() - begin, memory(supervisor)))
        await asyncio.gather(*asked)


def ledgers(folder: Path, seen: Seen) -> dict[str, float]:
    """Costs of the endpoints' answers that were sent whole, and of the others, in USD.

    Every answer that a client has must stand there, with the same words; one that lacks nothing but
    its `[DONE]` is whole, too.
    """
    whole = broken = 0.0
    unknown = dict(seen.said)
    for name, seed in SEEDS.items():
        chaos = Chaos(seed=seed)
        for line in (folder / f"{name}.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["complete"]:
                whole += entry["cost_usd"]
            else:
                broken += entry["cost_usd"]
            text = chaos.answer(entry["key"], "")["choices"][0]["message"]["content"]
            if unknown.get(entry["key"][:24]) in {text, ""}:
                del unknown[entry["key"][:24]]
    for id_, text in unknown.items():
        # It was counted as good before.
        seen.answers["whole"] -= 1
        seen.fault("wrong", (id_, text))
    return {"whole_usd": whole, "broken_usd": broken}


def logged(folder: Path) -> dict[str, float]:
    """Costs of the gateway's store, once all of its journal is in."""
    with Store(folder / "log.db") as store:
        outcomes = list(store.outcomes())
    return {
        "requests": len({outcome.query_id for outcome in outcomes}),
        "known_usd": sum(outcome.cost_usd or 0.0 for outcome in outcomes),
        "unknown": sum(outcome.cost_usd is None for outcome in outcomes),
    }


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """MiB an hour, by the second half of the samples; 0 where there are too few."""
    late = np.array(samples[len(samples) // 2 :]).reshape(-1, 2)
    if len(late) < 3:
        return 0.0
    return float(np.polyfit(late[:, 0], late[:, 1], 1)[0] * 3600 / 2**20)


def soak(minutes: float, clients: int) -> dict[str, Any]:
    """Runs it; the facts."""
    seen = Seen()
    with tempfile.TemporaryDirectory() as name, endpoints(Path(name)) as urls:
        folder, port = Path(name), free_port()
        url = f"http://127.0.0.1:{port}"
        write_settings(folder, urls, port)
        command = [sys.executable, "-m", "fusionfactory", "serve", "--router", "router"]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        with running(command, cwd=folder, env=env, stdout=subprocess.DEVNULL) as gateway:
            wait_for(f"{url}/ready")
            asyncio.run(load(url, seen, clients, minutes * 60, gateway.pid))
        # A drained gateway has moved its journal into the store.
        paid = {**ledgers(folder, seen), **logged(folder)}
    served = seen.answers["whole"] + seen.answers["stream"]
    asked = seen.answers.total()
    return {
        "minutes": minutes,
        "asked": asked,
        "served": served,
        "broken_after_first_byte": seen.answers["broken"],
        "faults": {kind: seen.answers[kind] for kind in ("refused", "wrong", "false end")},
        "examples": seen.examples,
        "memory_mib": [round(seen.memory[i][1] / 2**20, 1) for i in (0, len(seen.memory) // 2, -1)],
        "memory_slope_mib_per_hour": round(slope(seen.memory), 1),
        **paid,
    }


def main() -> None:
    """Runs it and prints the facts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    facts = {**machine(), **soak(options.minutes, options.clients)}
    print(json.dumps(facts, indent=1))
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
