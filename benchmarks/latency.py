"""Decision latency, batch speed and import time of the base install.

python benchmarks/latency.py [DATA_DIR] [--json FILE]

`decide` gets one query's 384 given features, performance first, one BLAS thread. Without DATA_DIR
(the folder of `fusionbench9.parquet` and `minilm_embeddings.parquet`) a table of the same size is
made: 5,989 queries x 9 arms, 14 tasks. The peers are plain scikit-learn regressors, fitted on the
same rows; all are asked the same queries, in rounds of 40. They predict quality only, while
`decide` also predicts cost and task, weighs them by the policy and builds a `Decision`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
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
ROUNDS, WARM_UP, TIMED = 10, 5, 40
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
class Subject:
    """Something that decides, and milliseconds of one call over many different queries."""

    name: str
    call: Callable[[Any], object]
    queries: Sequence[str] | FloatArray
    fit_s: float
    p50_ms: float = float("nan")
    p95_ms: float = float("nan")
    cpu_p50_ms: float = float("nan")
    batch_per_s: float = float("nan")

    def report(self) -> dict[str, Any]:
        """The figures."""
        return {key: value for key, value in vars(self).items() if key not in {"call", "queries"}}


def subject(
    name: str, fit: Callable[[], Callable[[Any], object]], queries: Sequence[str] | FloatArray
) -> Subject:
    """Fits something that decides."""
    start = time.perf_counter()
    call = fit()
    return Subject(name, call, queries, time.perf_counter() - start)


def routers(
    specs: Sequence[str],
    train: OutcomeTable,
    queries: Sequence[str] | FloatArray,
    encoder: str | Encoder,
    label: str = "{}",
) -> list[Subject]:
    """Our routers, fitted."""
    return [
        subject(
            label.format(spec),
            lambda spec=spec: make_router(spec, encoder=encoder).fit(train).decide,  # type: ignore[misc]
            queries,
        )
        for spec in specs
    ]


def peers(features: FloatArray, quality: FloatArray, queries: FloatArray) -> list[Subject]:
    """Plain scikit-learn, quality of all arms for one query."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.neighbors import KNeighborsRegressor

    models = (
        KNeighborsRegressor(n_neighbors=50, metric="cosine"),
        ExtraTreesRegressor(200, min_samples_leaf=4, max_features=0.3, random_state=0),
    )
    return [
        subject(
            type(model).__name__,
            lambda model=model: model.fit(features, quality).predict,  # type: ignore[misc]
            queries,
        )
        for model in models
    ]


def measure(subjects: Sequence[Subject]) -> None:
    """Times everyone in turn, round by round, so that the machine's load hits all alike."""
    wall = np.zeros((len(subjects), ROUNDS, WARM_UP + TIMED))
    cpu = np.zeros_like(wall)
    for turn in range(ROUNDS):
        for row, one in enumerate(subjects):
            for i in range(WARM_UP + TIMED):
                at = turn * (WARM_UP + TIMED) + i
                query = one.queries[at : at + 1]
                start, used = time.perf_counter(), time.process_time()
                one.call(query)
                wall[row, turn, i] = time.perf_counter() - start
                cpu[row, turn, i] = time.process_time() - used
    quantiles = 1e3 * np.quantile(wall[:, :, WARM_UP:], [0.5, 0.95], axis=(1, 2))
    cpu_p50 = 1e3 * np.median(cpu[:, :, WARM_UP:], axis=(1, 2))
    for row, one in enumerate(subjects):
        one.p50_ms, one.p95_ms = quantiles[:, row].tolist()
        one.cpu_p50_ms = float(cpu_p50[row])
        start = time.perf_counter()
        one.call(one.queries)
        one.batch_per_s = len(one.queries) / (time.perf_counter() - start)


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


def show(one: Subject, note: str = "") -> None:
    """Prints one line."""
    print(
        f"{one.name:22s} p50 {one.p50_ms:7.3f} ms  p95 {one.p95_ms:7.3f} ms  CPU p50 "
        f"{one.cpu_p50_ms:7.3f} ms  batch {one.batch_per_s:9,.0f}/s  fit {one.fit_s:6.2f} s  {note}"
    )


def verdict(one: Subject) -> str:
    """PASS or FAIL against the target."""
    return f"{'PASS' if one.p50_ms < TARGET_MS else 'FAIL'} (< {TARGET_MS:g} ms)"


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
        ours = routers(BASE_ROUTERS, train, queries, encoder)
        texts = routers(("stack", "knn"), train, test.texts, "text", "text -> {}")
        others = peers(features, np.nan_to_num(train.quality), queries)
        measure([*ours, *texts, *others])
    rivals = dict(zip(("knn", "trees"), others, strict=True))
    for one in ours:
        note = verdict(one)
        if one.name in rivals:
            rival = rivals[one.name]
            note += f"  {rival.p50_ms / one.p50_ms:.1f} times as fast as {rival.name}"
            note += f" (CPU {rival.cpu_p50_ms / one.cpu_p50_ms:.1f})"
        show(one, note)
    for one in texts:
        show(one, f"{np.mean([len(text) for text in test.texts]):.0f} characters a query")
    for one in others:
        show(one, "scikit-learn")
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
            "routers": [one.report() for one in (*ours, *texts)],
            "peers": [one.report() for one in others],
            "import_s": seconds,
            "import_of_dependencies_s": alone,
            "heavy_imports": heavy,
        }
        args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
