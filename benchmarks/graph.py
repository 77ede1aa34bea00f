"""GraphRouter: seconds to fit 5,000 queries x 40 arms, decision latency, quality on real outcomes.

python benchmarks/graph.py
python benchmarks/graph.py --table ../shared/data/fusionbench9.parquet --encoder minilm
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.encoders import Encoder
from fusionfactory.policy import SCENARIOS
from fusionfactory.routers.graph import GraphRouter
from fusionfactory.table import CELLS, QUERY_COLUMNS, OutcomeTable
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

QUERIES, ARMS, COLUMNS, TASKS = 5000, 40, 384, 14
LIMIT_S = 180.0
TABLE = Path(__file__).parents[1].parent / "shared" / "data" / "fusionbench9.parquet"


class Rows(Encoder):
    """Gives the rows of a made feature matrix to texts `0`, `1`, ...; any other text gets noise."""

    name = "rows"

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, 384) float32 rows of length 1, near the center of the text's task."""
        centers = np.random.default_rng(self.seed).normal(size=(TASKS, COLUMNS))
        rows = np.empty((len(texts), COLUMNS), dtype=np.float32)
        for row, text in enumerate(texts):
            number = int(text) if text.isdigit() else 10**6 + len(text)
            rng = np.random.default_rng([self.seed, number])
            rows[row] = centers[number % TASKS] + 1.5 * rng.normal(size=COLUMNS)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def made_table(seed: int = 0) -> OutcomeTable:
    """Outcomes that depend on the task, the arm and the query."""
    rng = np.random.default_rng(seed)
    tasks = np.arange(QUERIES) % TASKS
    skill = rng.normal(0.0, 0.7, (TASKS, ARMS)) + rng.normal(0.0, 0.5, ARMS)
    level = skill[tasks] + rng.normal(0.0, 1.0, (QUERIES, 1))
    cells = {name: np.full((QUERIES, ARMS), np.nan) for name in CELLS}
    cells["quality"] = (rng.random((QUERIES, ARMS)) < 1.0 / (1.0 + np.exp(-level))) * 1.0
    cells["cost_usd"] = np.exp(rng.normal(-8.0, 0.5, (QUERIES, ARMS)))
    columns = dict.fromkeys(QUERY_COLUMNS, [None] * QUERIES)
    columns |= {"query_id": [str(i) for i in range(QUERIES)]}
    columns |= {"query": columns["query_id"], "task": [f"task{t}" for t in tasks]}
    queries = pl.DataFrame(columns, schema=dict.fromkeys(QUERY_COLUMNS, pl.String))
    arms = tuple(Arm(f"m{i}", description="a model " + "x" * i) for i in range(ARMS))
    return OutcomeTable(queries=queries, arms=arms, **cells)


def speed(device: str) -> None:
    """Prints fit seconds and decision latency at 5,000 x 40 x 384."""
    table = made_table()
    router = GraphRouter(encoder=Rows(), device=device)
    wall, cpu = time.perf_counter(), time.process_time()
    router.fit(table)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    row = router.encode(["1"])
    router.decide(row)
    start = time.perf_counter()
    for _ in range(100):
        router.decide(row)
    latency_ms = (time.perf_counter() - start) * 10
    verdict = "under" if wall < LIMIT_S else "OVER"
    print(
        f"fit {QUERIES} x {ARMS} x {COLUMNS}: {wall:.1f} s wall, {cpu:.1f} s CPU ({verdict} 180 s)"
    )
    print(f"decide one encoded query: {latency_ms:.2f} ms")


def quality(path: Path, encoder: str, seeds: int) -> None:
    """Prints mean test quality of both recipes and of the best single arm, 70/30 by query."""
    table = OutcomeTable.read(path)
    print(f"{path.name}: {len(table)} queries x {len(table.arms)} arms, encoder {encoder}")
    policy = SCENARIOS["performance"]
    for seed in range(seeds):
        split = table.split(test=0.3, seed=seed)
        train, test = split.train, split.test
        rows = np.arange(len(test))
        line = [f"seed {seed}: best single {np.nanmean(test.quality[:, train.best_single()]):.4f}"]
        for recipe in ("mended", "paper"):
            router = GraphRouter(encoder=encoder, seed=seed, recipe=recipe)
            start = time.perf_counter()
            router.fit(train, policy)
            fit_s = time.perf_counter() - start
            chosen = router.choose(router.estimate(test.texts), policy)
            mean = np.nanmean(test.quality[rows, chosen])
            line.append(f"{recipe} {mean:.4f} (fit {fit_s:.0f} s)")
        print(", ".join(line))


def main() -> None:
    """Runs both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--encoder", default="text")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    speed(arguments.device)
    if arguments.table.exists():
        quality(arguments.table, arguments.encoder, arguments.seeds)
    else:
        print(f"no {arguments.table}: quality not measured")


if __name__ == "__main__":
    main()
