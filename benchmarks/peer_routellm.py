"""RouteLLM's own routers on the two-arm job of `peers.py`; runs in RouteLLM's environment, offline.

`sw_ranking` reads one battle per training query between the weak and the strong arm, and the job's
rows stand in for OpenAI's embeddings. `mf`, `bert` and `causal_llm` are published as weights on a
hub; they are asked for, and the answer recorded.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_API_KEY": "unused",
}
SHORTEST = 16
"""RouteLLM drops battles with shorter prompts, but not their embeddings."""
HUB = {
    "mf": ("MatrixFactorizationRouter", "routellm/mf_gpt4_augmented"),
    "bert": ("BERTRouter", "routellm/bert_gpt4_augmented"),
    "causal_llm": ("CausalLLMRouter", "routellm/causal_llm_gpt4_augmented"),
}


def write_battles(folder: Path, job: dict[str, Any], data: Any) -> list[list[str]]:  # noqa: ANN401
    """Local data sets in the columns of the arena's; returns the folders of battles and rows."""
    import pandas as pd

    long = [i for i, text in enumerate(job["train"]) if len(text.strip()) >= SHORTEST]
    weak, strong = data["quality"][long].T
    battles = pd.DataFrame(
        {
            "prompt": [json.dumps([job["train"][i]]) for i in long],
            "model_a": "weak",
            "model_b": "strong",
            "winner_model_a": (weak > strong).astype(int),
            "winner_model_b": (strong > weak).astype(int),
        }
    )
    rows = pd.DataFrame({"embeddings": list(data["train"][long])})
    folders = []
    for name, frame in (("battles", battles), ("rows", rows)):
        (folder / name).mkdir()
        frame.to_parquet(folder / name / "train.parquet")
        folders.append([str(folder / name)])
    return folders


def main() -> None:
    """Writes each router's preference for the strong arm, or why there is none."""
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    data = np.load(folder / "data.npz")
    from routellm.routers import routers

    rows = dict(zip(job["test"], data["test"], strict=True))

    def embed(input: list[str], model: str) -> Any:  # noqa: ANN401
        return SimpleNamespace(data=[SimpleNamespace(embedding=rows[input[0]])])

    routers.OPENAI_CLIENT = SimpleNamespace(embeddings=SimpleNamespace(create=embed))
    result: dict[str, Any] = {}
    start = time.perf_counter()
    ranking = routers.SWRankingRouter(
        *write_battles(folder, job, data), strong_model="strong", weak_model="weak", num_tiers=2
    )
    fit_s = time.perf_counter() - start
    start = time.perf_counter()
    preference = [float(ranking.calculate_strong_win_rate(text)) for text in job["test"]]
    route_s = time.perf_counter() - start
    result["sw_ranking"] = {"preference": preference, "fit_s": fit_s, "route_s": route_s}
    for name, (router, checkpoint) in HUB.items():
        try:
            getattr(routers, router)(checkpoint)
        except Exception as error:  # noqa: BLE001  a peer's failure is a result
            reason = " ".join(str(error).split())[:300]
            result[name] = {"blocked": f"{checkpoint}: {type(error).__name__}: {reason}"}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
