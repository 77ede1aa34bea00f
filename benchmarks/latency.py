"""Decision latency, batch speed and import time of the base install.

python benchmarks/latency.py [DATA_DIR] [--json FILE]

`decide` gets one query's 384 given features, performance first, one BLAS thread. Without DATA_DIR
(the folder of `fusionbench9.parquet` and `minilm_embeddings.parquet`) a table of the same size is
made: 5,989 queries x 9 arms, 14 tasks. The peers are plain scikit-learn regressors, fitted on the
same rows and asked for the same queries in the same run; they predict quality only, while `decide`
also predicts cost and task, weighs them by the policy and builds a `Decision`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from fusionfactory.encoders import Encoder, make_encoder
from fusionfactory.routers import BASE_ROUTERS, make_router
from fusionfactory.table import CELLS, QUERY_COLUMNS, OutcomeTable
from fusionfactory.types import Arm
from routing import EMBEDDINGS, data_folder, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fusionfactory.types import FloatArray

QUERIES, ARMS, TASKS, COLUMNS = 5989, 9, 14, 384
WARM_UP, TIMED = 30, 400
TARGET_MS = 1.0
IMPORTS = 7
IMPORT_TARGET_S = 1.0
HEAVY = ("torch", "sklearn", "scipy")


class Made(Encoder):
    """Gives a text the row of its digits: noise around the center of its task."""

    name = "made"

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, 384) rows of length 1."""
        centers = np.random.default_rng(0).normal(size=(TASKS, COLUMNS))
        rows = np.empty((len(texts), COLUMNS), dtype=np.float32)
        for row, text in enumerate(texts):
            number = int(text.split(maxsplit=1)[0])
            noise = np.random.default_rng([1, number]).normal(size=COLUMNS)
            rows[row] = centers[number % TASKS] + 1.5 * noise
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def made_table() -> OutcomeTable:
    """Outcomes that depend on task, arm and query; texts of 40 words."""
    rng = np.random.default_rng(0)
    tasks = np.arange(QUERIES) % TASKS
    skill = rng.normal(0.0, 0.7, (TASKS, ARMS)) + rng.normal(0.0, 0.5, ARMS)
    level = skill[tasks] + rng.normal(0.0, 1.0, (QUERIES, 1))
    cells: dict[str, Any] = {name: np.full((QUERIES, ARMS), np.nan) for name in CELLS}
    cells["quality"] = (rng.random((QUERIES, ARMS)) < 1.0 / (1.0 + np.exp(-level))) * 1.0
    cells["cost_usd"] = np.exp(rng.normal(-8.0, 0.5, (QUERIES, ARMS)))
    words = rng.integers(0, 3000, (QUERIES, 40)) + 100 * tasks[:, None]
    columns = {name: [""] * QUERIES for name in QUERY_COLUMNS}
    columns["query_id"] = [str(i) for i in range(QUERIES)]
    columns["query"] = [
        f"{i} " + " ".join(f"word{word}" for word in row) for i, row in enumerate(words)
    ]
    columns["task"] = [f"task{task}" for task in tasks]
    arms = tuple(Arm(f"model-{arm}") for arm in range(ARMS))
    return OutcomeTable(pl.DataFrame(columns), arms, **cells)


@dataclass
class Latency:
    """Milliseconds of one call, over many different queries."""

    name: str
    p50_ms: float
    p95_ms: float
    batch_per_s: float = float("nan")
    fit_s: float = float("nan")


def timed(name: str, call: Callable[[int], object]) -> Latency:
    """Calls with 0, 1, 2, ...; the first calls are not counted."""
    seconds = []
    for i in range(WARM_UP + TIMED):
        start = time.perf_counter()
        call(i)
        seconds.append(time.perf_counter() - start)
    p50, p95 = np.quantile(seconds[WARM_UP:], [0.5, 0.95])
    return Latency(name, 1e3 * float(p50), 1e3 * float(p95))


def measure_router(
    spec: str, train: OutcomeTable, queries: Sequence[str] | FloatArray, encoder: str | Encoder
) -> Latency:
    """Fits a router and times its decisions, one by one and in one batch."""
    start = time.perf_counter()
    router = make_router(spec, encoder=encoder).fit(train)
    fit_s = time.perf_counter() - start
    found = timed(spec, lambda i: router.decide(queries[i : i + 1]))
    found.fit_s = fit_s
    start = time.perf_counter()
    router.decide(queries)
    found.batch_per_s = len(queries) / (time.perf_counter() - start)
    return found


def measure_peers(features: FloatArray, quality: FloatArray, queries: FloatArray) -> list[Latency]:
    """Plain scikit-learn, quality of all arms for one query."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.neighbors import KNeighborsRegressor

    models = {
        "KNeighborsRegressor": KNeighborsRegressor(n_neighbors=50, metric="cosine"),
        "ExtraTreesRegressor": ExtraTreesRegressor(
            200, min_samples_leaf=4, max_features=0.3, random_state=0
        ),
    }
    peers = []
    for name, model in models.items():
        start = time.perf_counter()
        model.fit(features, quality)
        fit_s = time.perf_counter() - start
        predict = model.predict
        peers.append(timed(f"sklearn {name}", partial(_one, predict, queries)))
        peers[-1].fit_s = fit_s
        start = time.perf_counter()
        predict(queries)
        peers[-1].batch_per_s = len(queries) / (time.perf_counter() - start)
    return peers


def _one(predict: Callable[[FloatArray], object], queries: FloatArray, row: int) -> object:
    return predict(queries[row : row + 1])


def import_seconds(statement: str) -> tuple[float, list[str]]:
    """Median seconds of an import in a fresh interpreter, and the heavy packages it loads."""
    code = (
        "import sys, time; start = time.perf_counter()\n"
        f"{statement}\n"
        f"print(time.perf_counter() - start, *({set(HEAVY)!r} & set(sys.modules)))"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.split()
        for _ in range(IMPORTS)
    ]
    return float(np.median([float(words[0]) for words in outputs])), outputs[0][1:]


def show(latency: Latency, note: str = "") -> None:
    """Prints one line."""
    print(
        f"{latency.name:28s} p50 {latency.p50_ms:8.3f} ms  p95 {latency.p95_ms:8.3f} ms  "
        f"batch {latency.batch_per_s:9,.0f}/s  fit {latency.fit_s:7.2f} s  {note}"
    )
    sys.stdout.flush()


def verdict(latency: Latency) -> str:
    """PASS or FAIL against the target."""
    return f"{'PASS' if latency.p50_ms < TARGET_MS else 'FAIL'} (< {TARGET_MS:g} ms)"


def load(folder: str | None) -> tuple[OutcomeTable, Encoder, str]:
    """The table, the encoder of its given features, and what they are."""
    if folder is None:
        return made_table(), Made(), f"made data, {QUERIES} x {ARMS}, {COLUMNS} columns"
    path = data_folder(folder, "fusionbench9.parquet", EMBEDDINGS)
    table = OutcomeTable.read(path / "fusionbench9.parquet")
    encoder = make_encoder(f"file:{path / EMBEDDINGS}")
    return table, encoder, f"fusionbench9, {len(table)} x {len(table.arms)}, MiniLM vectors"


def main() -> None:
    """Measures and prints everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", nargs="?", help="folder of the tables [made data]")
    parser.add_argument("--json", type=Path, help="write everything here")
    args = parser.parse_args()
    facts = machine()
    table, encoder, what = load(args.data_dir)
    print(facts, what, sep="\n")
    split = table.split(test=0.3, seed=0)
    train, test = split.train, split.test
    with threadpool_limits(1):
        features, queries = encoder.encode(train.texts), encoder.encode(test.texts)
        peers = measure_peers(features, np.nan_to_num(train.quality), queries)
        for peer in peers:
            show(peer)
        ours = [measure_router(spec, train, queries, encoder) for spec in BASE_ROUTERS]
        pairs = dict(zip(("knn", "trees"), peers, strict=True))
        for one in ours:
            ratio = ""
            if one.name in pairs:
                faster = pairs[one.name].p50_ms / one.p50_ms
                ratio = f"{faster:.1f}x as fast as {pairs[one.name].name}"
            show(one, f"{verdict(one)} {ratio}")
        texts = [measure_router(spec, train, test.texts, "text") for spec in ("stack", "knn")]
        for one in texts:
            one.name = f"text -> {one.name}"
            show(one, f"{np.mean([len(text) for text in test.texts]):.0f} characters a query")
    seconds, heavy = import_seconds("import fusionfactory")
    alone, _ = import_seconds("import numpy, polars, pydantic")
    passed = seconds < IMPORT_TARGET_S and not heavy
    print(
        f"import fusionfactory: {seconds:.3f} s (median of {IMPORTS}; numpy, polars and pydantic "
        f"alone {alone:.3f} s), heavy packages loaded: {', '.join(heavy) or 'none'}  "
        f"{'PASS' if passed else 'FAIL'} (< {IMPORT_TARGET_S:g} s, none of {', '.join(HEAVY)})"
    )
    if args.json:
        content = {
            "machine": facts,
            "data": what,
            "routers": [vars(one) for one in (*ours, *texts)],
            "peers": [vars(one) for one in peers],
            "import_s": seconds,
            "import_of_dependencies_s": alone,
            "heavy_imports": heavy,
        }
        args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
