"""Query-level routers: one file per method, one contract (`base.py`)."""

from __future__ import annotations

from typing import Any

from fusionfactory.estimator import LOADERS
from fusionfactory.registry import Registry
from fusionfactory.routers.base import Queries, Router
from fusionfactory.routers.files import load_router, save_router

__all__ = [
    "BASELINES",
    "BASE_ROUTERS",
    "PAPER",
    "ROUTERS",
    "Queries",
    "Router",
    "load_router",
    "make_router",
    "save_router",
]

ROUTERS = Registry(
    "router",
    {
        "stack": "fusionfactory.routers.stack:StackRouter",
        "trees": "fusionfactory.routers.forest:TreesRouter",
        "ridge": "fusionfactory.routers.ridge:RidgeRouter",
        "kernel": "fusionfactory.routers.kernel:KernelRouter",
        "knn": "fusionfactory.routers.knn:KNNRouter",
        "clusters": "fusionfactory.routers.clusters:ClusterRouter",
        "pairs": "fusionfactory.routers.pairs:PairsRouter",
        "factor": "fusionfactory.routers.factor:FactorRouter",
        "mlp": "fusionfactory.routers.mlp:MLPRouter",
        "svm": "fusionfactory.routers.svm:SVMRouter",
        "elo": "fusionfactory.routers.elo:EloRouter",
        "task": "fusionfactory.routers.baselines:TaskRouter",
        "graph": "fusionfactory.routers.graph:GraphRouter",
        "bert": "fusionfactory.routers.bert:BertRouter",
        "steady": "fusionfactory.routers.steady:SteadyRouter",
        "grown": "fusionfactory.onboarding:GrownRouter",
        "best_single": "fusionfactory.routers.baselines:BestSingleRouter",
        "cheapest": "fusionfactory.routers.baselines:CheapestRouter",
        "dearest": "fusionfactory.routers.baselines:DearestRouter",
        "random": "fusionfactory.routers.baselines:RandomRouter",
    },
)
LOADERS["router"] = ROUTERS.load

BASE_ROUTERS = (
    "stack", "trees", "ridge", "kernel", "knn", "clusters", "factor", "mlp", "svm", "elo", "task",
)  # fmt: skip
"""What `evaluate` compares by default: everything that the base install can fit."""

PAPER = ("knn-paper", "svm-paper", "mlp-paper")
"""The paper's recipes that the base install can fit; each is fitted again for every scenario."""

BASELINES = ("best_single", "cheapest", "dearest", "random")


def make_router(spec: str, **params: Any) -> Router:  # noqa: ANN401  any constructor parameter
    """Builds an unfitted router.

    Args:
        spec: `knn`, `knn:k=20,encoder=minilm`, or `knn-paper` for `knn:recipe=paper`.
        params: Defaults for the parameters that the router has and the spec does not set.

    Raises:
        UnknownNameError: No such router, or it has no such parameter.
        ConfigError: A parameter that is a number is given something else.
    """
    name, colon, settings = spec.partition(":")
    if name.endswith("-paper"):
        spec = f"{name.removesuffix('-paper')}:recipe=paper{',' if colon else ''}{settings}"
    router: Router = ROUTERS.make(spec, **params)
    return router
