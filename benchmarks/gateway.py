"""The gateway beside the LiteLLM proxy: throughput and added latency, same stub, same client.

    python benchmarks/gateway.py [--peer PYTHON] [--seconds 8] [--json FILE]

PYTHON is that of a virtual environment with `litellm[proxy]`; without it our figures stand alone.
The gateway routes with `stack`, fitted on the bundled log, over six arms; wants a key; logs every
request. Questions are 64 different ones, whose estimates are cached ("without embedding"), or new
ones every time, which the default encoder has to read. Added latency is taken with a stub that
answers after 100 ms, against the stub asked directly, at 200 requests a second over 32 connections,
sent at random times: connections that ask as soon as they are answered fall into step, and wait
for each other.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionfactory.demo import bundled_log
from fusionfactory.routers import make_router, save_router
from gateway_load import Load, Measured, measure
from routing import machine

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CONNECTIONS = (1, 16, 32)
DELAY_MS = 100
RATE = 200.0
START_S = 90.0
PEER_KEY = "sk-benchmark"


@contextlib.contextmanager
def running(command: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:  # noqa: ANN401
    """A process for as long as the block lasts."""
    process = subprocess.Popen(command, text=True, **more)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def stub(delay_ms: float = 0.0) -> Iterator[str]:
    """The endpoint; its base URL."""
    command = [sys.executable, str(HERE / "gateway_stub.py"), "--delay-ms", f"{delay_ms:g}"]
    with running(command, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline() if process.stdout else ""
        yield str(json.loads(line)["url"])


def wait_for(url: str) -> None:
    """Returns once something answers there."""
    until = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  a loopback URL
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@contextlib.contextmanager
def gateway(upstream: str, folder: Path, workers: int = 1) -> Iterator[Load]:
    """`fusionfactory serve` before the endpoint."""
    table, port = bundled_log(), free_port()
    folder.mkdir(parents=True)
    save_router(make_router("stack").fit(table), folder / "router")
    strategies: dict[str, list[str]] = {}
    for arm in table.arms:
        strategies.setdefault(arm.model, []).append(arm.strategy)
    models = "".join(
        f'[[models]]\nname = "{model}"\nmodel = "stub"\nendpoint = "stub"\n'
        f"strategies = {json.dumps(used)}\ninput_price = 1.0\noutput_price = 2.0\n"
        for model, used in strategies.items()
    )
    (folder / "fusionfactory.toml").write_text(
        f'store = "log.db"\n[[endpoints]]\nname = "stub"\nbase_url = "{upstream}"\n'
        f'api_key_env = "STUB_KEY"\nconcurrency = 256\n{models}'
        f'[serve]\nport = {port}\nworkers = {workers}\nkeys = "required"\nlog_level = "warning"\n'
    )
    program = [sys.executable, "-m", "fusionfactory"]
    added = subprocess.run(
        [*program, "keys", "add", "bench", "--json"],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    key = json.loads(added.stdout)["key"]
    command = [*program, "serve", "--router", "router"]
    with running(command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}):
        wait_for(f"http://127.0.0.1:{port}/ready")
        yield Load(f"http://127.0.0.1:{port}/v1", 1, key=key)


@contextlib.contextmanager
def peer(python: str, upstream: str, folder: Path) -> Iterator[Load]:
    """The LiteLLM proxy with one worker before the endpoint, with a master key."""
    port = free_port()
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        "model_list:\n  - model_name: auto\n    litellm_params:\n      model: openai/stub\n"
        f"      api_base: {upstream}\n      api_key: none\n      input_cost_per_token: 0.000001\n"
        "      output_cost_per_token: 0.000002\n"
        f"general_settings:\n  master_key: {PEER_KEY}\n"
    )
    command = [str(Path(python).parent / "litellm"), "--config", "config.yaml"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with running(command, cwd=folder, env=env, **quiet):
        wait_for(f"http://127.0.0.1:{port}/health/liveliness")
        yield Load(f"http://127.0.0.1:{port}/v1", 1, key=PEER_KEY)


def shown(who: str, load: Load, found: Measured) -> dict[str, Any]:
    """Prints a row and returns it."""
    kind = "stream" if load.stream else "whole"
    print(
        f"{who:<28}{kind:<8}{load.connections:>4} connections {found.per_s:>9.1f}/s"
        f"  p50 {found.p50_ms:>8.2f} ms  p99 {found.p99_ms:>8.2f} ms  failed {found.failed}",
        flush=True,
    )
    about = {"connections": load.connections, "stream": load.stream, "texts": load.texts}
    return {"who": who, **about, **asdict(found)}


def throughput(loads: dict[str, Load], seconds: float) -> list[dict[str, Any]]:
    """Every server at every number of connections, in turn."""
    rows = []
    for stream in (False, True):
        for connections in CONNECTIONS:
            for who, load in loads.items():
                asked = replace(load, connections=connections, stream=stream, seconds=seconds)
                rows.append(shown(who, asked, measure(asked)))
    return rows


def added(loads: dict[str, Load], seconds: float) -> list[dict[str, Any]]:
    """32 connections before an endpoint that takes its time."""
    rows = []
    for texts in (64, 0):
        for who, load in loads.items():
            asked = replace(load, connections=32, seconds=seconds, texts=texts, rate=RATE)
            rows.append(shown(who + (", new texts" if not texts else ""), asked, measure(asked)))
    return rows


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        fast = stack.enter_context(stub())
        slow = stack.enter_context(stub(DELAY_MS))
        at_once = {"stub": Load(fast, 1)}
        patient = {"stub": Load(slow, 1)}
        at_once["gateway"] = stack.enter_context(gateway(fast, folder / "a"))
        if options.peer:
            at_once["litellm"] = stack.enter_context(peer(options.peer, fast, folder / "c"))
        rows = throughput(at_once, options.seconds)
        patient["gateway"] = stack.enter_context(gateway(slow, folder / "b"))
        if options.peer:
            patient["litellm"] = stack.enter_context(peer(options.peer, slow, folder / "d"))
        print(f"the stub answers after {DELAY_MS} ms")
        rows += added(patient, options.seconds)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
