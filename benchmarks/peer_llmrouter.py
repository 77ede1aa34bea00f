"""LLMRouter's own routers on the job of `peers.py`; runs in LLMRouter's environment, offline.

Its classes read our export, train by their own trainers and answer by their own `route_batch`. Two
functions that it would need the network for are replaced: the Longformer that embeds a query gives
the job's rows instead, and the call of the chosen LLM gives an empty response. Hyperparameters are
those of its published configuration files, the defaults of its code where it has no file.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

ROUTERS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "knn": ("knnrouter", "KNNRouter", "KNNRouterTrainer", {"n_neighbors": 5}),
    "knn50": (
        "knnrouter",
        "KNNRouter",
        "KNNRouterTrainer",
        {"n_neighbors": 50, "metric": "cosine"},
    ),
    "svm": (
        "svmrouter",
        "SVMRouter",
        "SVMRouterTrainer",
        {"kernel": "rbf", "C": 1.0, "gamma": "scale", "probability": True},
    ),
    "mlp": (
        "mlprouter",
        "MLPRouter",
        "MLPTrainer",
        {
            "hidden_layer_sizes": [128, 64],
            "activation": "relu",
            "lr": 0.001,
            "epochs": 100,
            "batch_size": 32,
            "alpha": 0.0001,
        },
    ),
    "mf": (
        "mfrouter",
        "MFRouter",
        "MFRouterTrainer",
        {"latent_dim": 128, "lr": 0.001, "epochs": 5, "noise_alpha": 0.0},
    ),
    "elo": ("elorouter", "EloRouter", "EloRouterTrainer", {}),
    "graph": ("graphrouter", "GraphRouter", "GraphTrainer", {}),
}


def configure(folder: Path, order: str, name: str, hparam: dict[str, Any]) -> Path:
    """Writes a router's configuration file for the export with the arms in that order."""
    ending = "pt" if name == "graph" else "pkl"
    model = str(folder / f"{name}.{ending}")
    config = {
        "data_path": {
            "query_embedding_data": str(folder / "embeddings.pt"),
            "routing_data_train": str(folder / order / "routing_data.jsonl"),
            "llm_data": str(folder / order / "llm_candidates.json"),
        },
        "model_path": {"ini_model_path": "", "save_model_path": model, "load_model_path": model},
        "metric": {"weights": {"performance": 1, "cost": 0, "llm_judge": 0}},
        "hparam": hparam,
        "api_endpoint": "none",
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def run(
    folder: Path, order: str, name: str, job: dict[str, Any], rows: dict[str, torch.Tensor]
) -> dict[str, Any]:
    """Fits one router and asks it about the test queries."""
    module, router_class, trainer_class, hparam = ROUTERS[name]
    if name == "mf":
        hparam = hparam | {"text_dim": len(next(iter(rows.values())))}
    torch.manual_seed(job["seed"])
    np.random.seed(job["seed"])
    package = import_module(f"llmrouter.models.{module}")
    code = import_module(f"llmrouter.models.{module}.router")
    code.get_longformer_embedding = rows.__getitem__
    code.call_api = lambda *_, **__: {"response": ""}
    start = time.perf_counter()
    router = getattr(package, router_class)(str(configure(folder, order, name, hparam)))
    load_s = time.perf_counter() - start
    start = time.perf_counter()
    getattr(package, trainer_class)(router, device="cpu").train()
    fit_s = time.perf_counter() - start
    start = time.perf_counter()
    answers = router.route_batch([{"query": text} for text in job["test"]])
    route_s = time.perf_counter() - start
    picks = [job["arms"].index(answer["model_name"]) for answer in answers]
    return {"picks": picks, "fit_s": fit_s, "load_s": load_s, "route_s": route_s}


def main() -> None:
    """Runs every router and writes the choices, or why there are none."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    data = np.load(folder / "data.npz")
    torch.save(torch.from_numpy(data["train"]), folder / "embeddings.pt")
    rows = dict(zip(job["test"], torch.from_numpy(data["test"]), strict=True))
    result = {}
    for name, order in product(ROUTERS, ("log", "best")):
        label = name if order == "log" else f"{name} best"
        try:
            result[label] = run(folder, order, name, job, rows)
        except Exception as error:  # noqa: BLE001  a peer's failure is a result
            result[label] = {"blocked": f"{type(error).__name__}: {error}"}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
