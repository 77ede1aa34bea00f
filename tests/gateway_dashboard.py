"""A gateway with some traffic in its store, for the tests of the dashboard."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fake_outcomes import outcome_table
from fusionfactory.config import Config
from fusionfactory.gateway.learning.evidence import Rated
from fusionfactory.gateway.learning.promotion import compare
from fusionfactory.gateway.log.ingest import Ingester
from fusionfactory.gateway.log.journal import Journal
from fusionfactory.gateway.log.logged import Logged
from fusionfactory.gateway.log.record import Attempt, Record, new_id
from fusionfactory.policy import Policy
from fusionfactory.routers import make_router
from fusionfactory.types import Query

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.gateway.learning.versions import Versions
    from fusionfactory.routers import Router
    from fusionfactory.serve_settings import LogSettings
    from fusionfactory.store import Store

__all__ = ["XSS", "configured", "estimated", "fill", "record", "small_router", "two_versions"]

XSS = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>\"'&"
"""A question that is an attack."""


def configured(folder: Path, url: str, **serve: Any) -> Config:  # noqa: ANN401
    """Settings of two arms at an endpoint, `small` and `large`."""
    return Config.model_validate(
        {
            "store": str(folder / "runs.db"),
            "endpoints": [{"name": "stub", "base_url": url, "api_key_env": ""}],
            "models": [
                {"name": "small", "endpoint": "stub", "input_price": 1, "output_price": 2},
                {"name": "large", "endpoint": "stub", "input_price": 10, "output_price": 20},
            ],
            "serve": {"state": str(folder / "gateway"), **serve},
        }
    )


def record(number: int = 0, **fields: Any) -> Record:  # noqa: ANN401
    """A request that `small` answered some seconds ago; the higher its number, the longer."""
    record = Record(
        id=new_id("req"),
        at=time.time() - 1 - number,
        asked="auto",
        text=f"What is {number} times 7?",
        policy="balance",
        router="v1-abc",
        why="best",
        chosen="small",
        propensity=0.95,
        propensities={"small": 0.95, "large": 0.05},
        estimates={"small": (0.7, 2e-5), "large": (0.9, 3e-4)},
        attempts=[Attempt("small", 0.2, 200, None, 2e-5)],
        arm="small",
        status=200,
        response=str(7 * number),
        finish_reason="stop",
        input_tokens=9,
        output_tokens=2,
        cost_usd=2e-5,
        latency_s=0.25,
        first_byte_s=0.1,
        upstream_s=0.2,
    )
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def fill(
    store: Store,
    folder: Path,
    settings: LogSettings,
    records: list[Record],
    scores: dict[str, float] | None = None,
) -> None:
    """Brings records, and scores by id, into the store by the journal as the gateway does."""

    async def write() -> None:
        journal = Journal(folder, 0, settings)
        journal.start()
        for item in records:
            assert await journal.write(item)
        for id_, score in (scores or {}).items():
            facts = {"id": id_, "at": time.time(), "key": None, "score": score, "target": None}
            assert await journal.event("feedback", facts)
        await journal.close()

    asyncio.run(write())
    ingester = Ingester(store, folder, settings)
    while ingester.step():
        pass


def small_router(quality: tuple[float, float] = (0.2, 0.9)) -> Router:
    """Knows `small` and `large`; expects that quality of them, whatever is asked."""
    queries = [Query(f"q{i}", f"What is {i} times {j}?") for i, j in enumerate(range(3, 15))]
    rows = [quality for _ in queries]
    costs = [(1e-5, 1e-4) for _ in queries]
    table = outcome_table(queries, ["small", "large"], rows, cost=costs)
    return make_router("best_single").fit(table)


def two_versions(versions: Versions, **facts: Any) -> tuple[str, str]:  # noqa: ANN401
    """A version that decides, and a second one of which that is known."""
    first = versions.add(small_router((0.9, 0.2)), {"queries": 12})
    versions.promote(first)
    return first, versions.add(small_router((0.2, 0.9)), facts)


def estimated(candidate: Router, incumbent: Router, quality: dict[str, float]) -> dict[str, Any]:
    """What `learn` notes of a candidate, by a log that tried two arms of that quality evenly."""
    n, arms = 400, tuple(quality)
    chosen = np.arange(n) % len(arms)
    logged = Logged(
        ids=[f"req_{i}" for i in range(n)],
        text=[f"Which is the {i}th prime?" for i in range(n)],
        arms=arms,
        chosen=chosen,
        propensity=np.full(n, 1 / len(arms)),
        reward=np.random.default_rng(0).binomial(1, [quality[arms[i]] for i in chosen]) * 1.0,
        cost_usd=np.full(n, 1e-5),
        at=np.arange(n) * 1.0,
    )
    policy = Policy.parse("performance")
    return compare(logged, Rated(candidate), Rated(incumbent), policy).to_json()
