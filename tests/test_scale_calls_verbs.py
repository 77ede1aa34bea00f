"""`collect`, `judge` and `think build` with `--engine ray`: what they leave is the same."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from command_line import facts, run
from fusionfactory.demo import bundled_log
from fusionfactory.store import Store
from metered_endpoint import metered_endpoint
from metered_runs import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from metered_endpoint import Meter

pytestmark = pytest.mark.usefixtures("ray_cluster")

ARMS = ["qwen2.5-coder-1.5b-instruct", "smollm2-135m-instruct"]


@pytest.fixture
def meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    """An endpoint, in a folder with settings that name it and a store of twenty questions."""
    monkeypatch.chdir(tmp_path)
    with Store(tmp_path / "log.db") as store:
        log = bundled_log().select_arms(ARMS)
        store.write_table(log.rows(np.flatnonzero(log.tasks == "extraction")[:20]))
    with metered_endpoint() as meter:
        (tmp_path / "fusionfactory.toml").write_text(
            f'[[endpoints]]\nname = "here"\nbase_url = "{meter.url}"\napi_key_env = ""\n'
            '[[models]]\nname = "pen"\nendpoint = "here"\ninput_price = 1.0\noutput_price = 1.0\n'
            "[scale]\nworkers = 2\nshard_rows = 5\n",
            encoding="utf-8",
        )
        yield meter


def test_collect(tmp_path: Path, meter: Meter) -> None:
    found = {}
    for engine in ("local", "ray"):
        store = shutil.copy("log.db", f"{engine}.db")
        command = ["collect", "--store", store, "--from-store", "--engine", engine]
        assert run(*command, "--json", f"{engine}.json") == 0
        done = facts(f"{engine}.json")
        assert (done["done"], done["failed"], done["left"]) == (20, 0, 0)
        with Store(store) as opened:
            found[engine] = rows(opened)
    assert found["local"] == found["ray"]
    assert len(meter.calls) == 40
    assert not list(tmp_path.glob("fusionfactory-shards-*"))


def test_judge(meter: Meter) -> None:
    meter.said = "It is what it is.\nScore: 0.8"
    found: dict[str, Any] = {}
    for engine in ("local", "ray"):
        meter.calls.clear()
        store = shutil.copy("log.db", f"{engine}.db")
        command = ["judge", "--store", store, "--model", "pen", "--engine", engine]
        assert run(*command, "--json", f"{engine}.json") == 0
        done = facts(f"{engine}.json")["run"]
        # Every worker learns for itself that the endpoint offers no structured output.
        assert 0 < sum(call.status == 400 for call in meter.calls) <= 40
        assert done["judged"] == sum(call.status == 200 for call in meter.calls) > 20
        with Store(store) as opened:
            found[engine] = rows(opened)
    assert found["local"] == found["ray"]


def test_think_build(tmp_path: Path, meter: Meter) -> None:
    meter.said = (
        "Read the question with care, and copy what it asks for, word for word and in full."
    )
    for engine in ("local", "ray"):
        bank = ["--bank", engine, "--writer", "pen", "--split", "all"]
        command = ["think", "build", "--store", "log.db", *bank, "--engine", engine]
        assert run(*command, "--json", f"{engine}.json") == 0
        assert facts(f"{engine}.json")["written"] > 10
    for name in ("notes.jsonl", "templates.jsonl"):
        local, ray = (
            [json.loads(line) for line in (tmp_path / engine / name).read_text().splitlines()]
            for engine in ("local", "ray")
        )
        assert local == ray
