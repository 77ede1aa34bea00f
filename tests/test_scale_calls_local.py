"""Models in the workers' own processes: loaded once by each, and asked one call at a time."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fusionfactory.config import Config
from fusionfactory.plan import plan_calls
from fusionfactory.scale.call_worker import CallWorker, call_schema, rows_of
from fusionfactory.scale.desk import Orders
from fusionfactory.scale.shards import laid_out
from fusionfactory.store import Store
from fusionfactory.types import Query
from metered_runs import collect_by, rows
from thread_hands import ThreadHands

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.collect import ArmCall
    from fusionfactory.scale.messages import Paid

pytest.importorskip("pyarrow", reason="the extra `ray` is not installed")

QUESTIONS = ("What is the capital of France?", "What is two and two?", "Name a colour.")


def settings_for(gguf: Path, folder: Path) -> Config:
    params = {"temperature": 0.0, "max_tokens": 8}
    model = {"name": "tiny", "gguf": gguf, "context_tokens": 512, "threads": 1, "params": params}
    return Config.model_validate({"models": [model], "scale": {"shards": str(folder)}})


def calls_for(config: Config) -> list[ArmCall]:
    queries = [Query(f"q{i}", text) for i, text in enumerate(QUESTIONS)]
    return plan_calls(config, config.models, queries, tasks={})


def test_answers_are_those_of_one_process(gguf: Path, tmp_path: Path) -> None:
    config = settings_for(gguf, tmp_path)
    found = []
    for engine in ("local", "threads"):
        with Store(tmp_path / f"{engine}.db") as store:
            summary = collect_by(engine, config, store, calls_for(config))
            assert (summary.done, summary.failed) == (3, 0)
            found.append(rows(store))
    assert found[0] == found[1]


def test_a_worker_loads_a_model_once(gguf: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model.gguf"
    copy.symlink_to(gguf)
    config = settings_for(copy, tmp_path)
    calls = calls_for(config)
    none = np.zeros(len(calls), np.int32)
    orders = Orders({"gguf:tiny": {"concurrency": 1}}, none, [calls[0].price], none)
    with (
        ThreadHands().desk(orders) as desk,
        laid_out(rows_of(calls), call_schema(), str(tmp_path), 1) as shards,
        closing(
            CallWorker(desk, config.model_dump_json(), ["tiny"], False, shards.files)
        ) as worker,
    ):
        first, *others = shards.parts("calls").values()
        worker(first)
        copy.unlink()
        for part in others:
            worker(part)

        async def answers() -> list[Paid]:
            paid: list[Paid] = await desk.answers.remote(1.0)
            return paid

        assert [p.delivery.reply is not None for p in asyncio.run(answers())] == [True] * 3
