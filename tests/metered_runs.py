"""Runs of `collect` against a metered endpoint, on this machine or on the cluster of the tests."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fusionfactory.collect import collect
from fusionfactory.config import Config
from fusionfactory.plan import make_clients, plan_calls
from fusionfactory.scale.calls import SharedCalls, ray_calls
from fusionfactory.types import Query
from thread_hands import ThreadHands

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fusionfactory.calls import Summary
    from fusionfactory.collect import ArmCall
    from fusionfactory.store import Store
    from metered_endpoint import Meter

__all__ = ["COST_USD", "calls_for", "collect_by", "rows", "settings_for"]

COST_USD = (2 * 10 * 1.0 + 2 * 2.0) * 1e-6
"""Of a question of two words."""


def settings_for(meter: Meter, folder: Path, **endpoint: object) -> Config:
    """Two models at the endpoint, and two workers that take shards of ten calls at most."""
    place = {"name": "here", "base_url": meter.url, "backoff_s": 0.01, **endpoint}
    models = [
        {"name": name, "endpoint": "here", "input_price": 1.0, "output_price": 2.0}
        for name in ("small", "large")
    ]
    scale = {"workers": 2, "shard_rows": 10, "shards": str(folder)}
    return Config.model_validate({"endpoints": [place], "models": models, "scale": scale})


def calls_for(config: Config, texts: Sequence[str]) -> list[ArmCall]:
    """Both models asked every text."""
    queries = [Query(f"q{i:04d}", text, task="t") for i, text in enumerate(texts)]
    return plan_calls(config, config.models, queries, tasks={})


def collect_by(
    engine: str,
    config: Config,
    store: Store,
    calls: list[ArmCall],
    **paid: Any,  # noqa: ANN401  of `collect`
) -> Summary:
    """Collects by `local`, `ray`, or `threads`, which work as those of a cluster do."""
    clients = make_clients(config, config.models)
    if engine == "local":
        return collect(store, calls, clients, **paid)
    if engine == "threads":
        by_threads = SharedCalls(config, config.models, str(config.scale.shards), ThreadHands())
        return collect(store, calls, clients, run=by_threads, **paid)
    with ray_calls(config, config.models, "unused.db") as run:
        return collect(store, calls, clients, run=run, **paid)


def rows(store: Store) -> list[dict[str, Any]]:
    """All outcomes, but for what no two runs have in common."""
    return [
        {**asdict(outcome), "latency_s": None, "created": None}
        for outcome in sorted(store.outcomes(), key=lambda o: (o.query_id, o.arm, o.sample))
    ]
