"""A collection that is killed twenty times ends like one that nobody disturbed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

from fusionfactory.cli import main
from fusionfactory.clients.chaos import request_key
from fusionfactory.config import read_config
from fusionfactory.plan import plan_calls, questions, tasks_by_name
from fusionfactory.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

FORKS = get_context("forkserver")
"""Each run is a process of its own; what it imports is loaded once, for twenty starts take long."""

FORKS.set_forkserver_preload(
    ["aiohttp", "fusionfactory.cli.collect_verb", "fusionfactory.clients.endpoint",
     "fusionfactory.collect", "fusionfactory.plan", "fusionfactory.store"]
)  # fmt: skip

KILLS = 20
QUESTIONS = 40
LAST_KILL = 100
"""Outcomes of 120 that are held before the last kill, at most."""

CONCURRENCY = 6
DEADLINE_S = 120.0

SETTINGS = """
store = "{store}"

[[endpoints]]
name = "chaos"
base_url = "{url}"
api_key_env = "NO_SUCH_KEY"
concurrency = {concurrency}
timeout_s = 1.0
retries = 6
backoff_s = 0.01

[[models]]
name = "small"
endpoint = "chaos"
model = "chaos-small"
strategies = ["direct", "think"]
input_price = 0.5
output_price = 1.5

[[models]]
name = "large"
endpoint = "chaos"
model = "chaos-large"
input_price = 5.0
output_price = 15.0

[[tasks]]
name = "own"
path = "{questions}"
metric = "contains"
"""


@dataclass
class Endpoint:
    """The chaos endpoint in its process."""

    url: str
    log: Path
    process: subprocess.Popen[str]

    def requests(self) -> int:
        """Lines of the log, whole or not."""
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0

    def lines(self) -> list[dict[str, Any]]:
        """The log. A request first, so that all that was read before is in it."""
        with urllib.request.urlopen(f"{self.url}/models") as response:  # noqa: S310  loopback
            response.read()
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def attempts(self) -> dict[str, int]:
        """Key of each request to how often it was asked."""
        attempts: dict[str, int] = {}
        for line in self.lines():
            attempts[line["key"]] = max(attempts.get(line["key"], 0), line["attempt"])
        return attempts


@contextmanager
def chaos(log: Path) -> Iterator[Endpoint]:
    options = {"--seed": "7", "--faults": "0.25", "--fatal": "0.15", "--latency": "0.02",
               "--retry-after": "0.01", "--log": str(log)}  # fmt: skip
    flat = [part for option in options.items() for part in option]
    command = [sys.executable, "-m", "fusionfactory.clients.chaos", *flat]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Endpoint(json.loads(process.stdout.readline())["url"], log, process)
        finally:
            process.kill()


@dataclass
class Collection:
    """One store with its settings file."""

    folder: Path
    endpoint: Endpoint

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.store = self.folder / "runs.db"
        self.settings = self.folder / "fusionfactory.toml"
        own = self.folder / "questions.jsonl"
        rows = ({"question": f"Was ist {i} × {i}?", "target": "水"} for i in range(QUESTIONS))
        own.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        settings = SETTINGS.format(store=self.store, url=self.endpoint.url, questions=own,
                                   concurrency=CONCURRENCY)  # fmt: skip
        self.settings.write_text(settings, encoding="utf-8")

    def start(self) -> ForkServerProcess:
        run = FORKS.Process(target=main, args=(["--config", str(self.settings), "collect"],))
        run.start()
        return run

    def request_keys(self) -> dict[tuple[str, str, int], str]:
        """Key of each outcome to the key of its request in the endpoint's log."""
        config = read_config(self.settings)
        asked = questions(config.tasks, train=None, test=None, seed=0)
        calls = plan_calls(config, config.models, asked, tasks=tasks_by_name(config.tasks))
        return {call.key: request_key(call.request.model, call.request.messages) for call in calls}

    def held(self) -> set[tuple[str, str, int]]:
        with Store(self.store) as store:
            return store.keys()

    def outcomes(self) -> dict[tuple[str, str, int], tuple[object, ...]]:
        """All but when and how fast, and without the port of the endpoint."""
        with Store(self.store) as store:
            return {
                (o.query_id, o.arm, o.sample): (
                    o.response,
                    o.error and o.error.replace(self.endpoint.url, ""),
                    o.input_tokens,
                    o.output_tokens,
                    o.cost_usd,
                    o.finish_reason,
                    o.scores,
                    o.propensity,
                )
                for o in store.outcomes()
            }


def kill(run: ForkServerProcess, collection: Collection, held: int, requests: int) -> None:
    """Kills the run so many requests after the store held so many outcomes."""
    # Closed before the kill, so that whoever opens the store next must recover it.
    with Store(collection.store) as store:
        wait_until(lambda: store.count() >= held, run)
    goal = collection.endpoint.requests() + requests
    wait_until(lambda: collection.endpoint.requests() >= goal, run)
    run.kill()
    run.join()
    assert run.exitcode == -signal.SIGKILL


def wait_until(reached: Callable[[], bool], run: ForkServerProcess) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        assert run.exitcode is None, "the run ended before it was killed"
        assert time.monotonic() < deadline, "the run makes no progress"
        time.sleep(0.003)


def to_the_end(run: ForkServerProcess) -> None:
    run.join(DEADLINE_S)
    assert run.exitcode == 0


@pytest.fixture
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.usefixtures("_no_proxy")
def test_a_run_that_is_killed_again_and_again_repeats_nothing_it_kept(tmp_path: Path) -> None:
    rng = random.Random(20)  # noqa: S311
    with chaos(tmp_path / "quiet.jsonl") as endpoint:
        quiet = Collection(tmp_path / "quiet", endpoint)
        to_the_end(quiet.start())
        ends = {line["key"]: line["behaviour"] for line in endpoint.lines()}

    kept: list[tuple[set[tuple[str, str, int]], dict[str, int]]] = []
    with chaos(tmp_path / "killed.jsonl") as endpoint:
        killed = Collection(tmp_path / "killed", endpoint)
        for goal in sorted(rng.sample(range(LAST_KILL), KILLS)):
            kill(killed.start(), killed, goal, rng.randint(0, CONCURRENCY))
            kept.append((killed.held(), endpoint.attempts()))
        to_the_end(killed.start())
        finally_asked = endpoint.attempts()

    expected = quiet.outcomes()
    assert killed.outcomes() == expected
    requests = killed.request_keys()
    assert set(expected) == set(requests)
    assert set(ends) == set(requests.values())
    for key, (response, error, *_) in expected.items():
        assert (response is None) == (error is not None) == (ends[requests[key]] != "ok")
    failed = Counter(ends.values())
    assert set(failed) == {"ok", "500", "malformed", "empty", "400"}

    for (before, _), (after, _) in pairwise(kept):
        assert before <= after
    assert any(held for held, _ in kept)
    for held, attempts in kept:
        again = {key for key in held if finally_asked[requests[key]] != attempts[requests[key]]}
        assert not again, "a call whose outcome was kept was made again"
