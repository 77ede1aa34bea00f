"""Whether data or method is the limit: a router's quality at a growing share of the train side.

python benchmarks/learning_curve.py DATA_DIR [--table fusionbench9] [--router stack] [--seeds 3]
    [--share 0.25 --share 0.5 --share 1] [--json FILE]

Queries are split 70/30, near-duplicates on one side; the router learns from a random share of the
train side and is held against the best single arm of that share, and against the table of best arms
per task of that share, which is told the task. A curve that still rises says that data is the
limit; one that has flattened says that the method, or chance in the answers, is. Also the CPU
seconds of `fit` and of a price change. `--table` is a file of DATA_DIR without `.parquet`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.metrics import taken
from fusionfactory.policy import SCENARIOS
from fusionfactory.routers import make_router
from fusionfactory.table import OutcomeTable

if TYPE_CHECKING:
    from fusionfactory.routers import Router

SHARES = (0.25, 0.5, 1.0)
TABLES = ("fusionbench9", "mmlu_pro_dev")


def point(train: OutcomeTable, test: OutcomeTable, spec: str, seed: int) -> dict[str, float]:
    """What the router and the two baselines reach on the test side, and CPU seconds."""
    start = time.process_time()
    router = make_router(spec, seed=seed).fit(train)
    fit_s = time.process_time() - start
    chosen = router.choose(router.estimate(test.texts), SCENARIOS["performance"])
    known, best = test.tasks, np.full(len(test), train.best_single())
    for task in np.unique(known):
        own = train.rows(train.tasks == task) if (train.tasks == task).any() else train
        best[known == task] = own.best_single()
    single = np.full(len(test), train.best_single())
    return {
        "quality": float(np.nanmean(taken(test.quality, chosen))),
        "task_best": float(np.nanmean(taken(test.quality, best))),
        "best_single": float(np.nanmean(taken(test.quality, single))),
        "fit_cpu_s": fit_s,
        "price_change_cpu_s": price_change(router),
    }


def price_change(router: Router) -> float:
    """CPU seconds until every policy is met at another price; NaN where costs are unknown."""
    if router.cost_.is_empty:
        return float("nan")
    start = time.process_time()
    router.set_prices({router.arms_[0].name: (1.0, 2.0)})
    return time.process_time() - start


def curve(table: OutcomeTable, args: argparse.Namespace) -> list[dict[str, float]]:
    """One row per share, means over the seeds."""
    rows = []
    for share in args.share or SHARES:
        found = []
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            split = table.split(test=0.3, seed=seed)
            order = np.random.default_rng(seed).permutation(len(split.train))
            kept = np.sort(order[: max(round(share * len(order)), 1)])
            found.append(point(split.train.rows(kept), split.test, args.router, seed))
        means = {key: float(np.mean([row[key] for row in found])) for key in found[0]}
        rows.append({"share": share} | means)
        told = "  ".join(f"{key} {value:.4f}" for key, value in rows[-1].items())
        print(told, flush=True)
    return rows


def main() -> None:
    """Prints the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--table", action="append", help=f"repeatable [{', '.join(TABLES)}]")
    parser.add_argument("--router", default="stack")
    parser.add_argument(
        "--share", action="append", type=float, help="of the train side, repeatable"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.folder is None or not args.folder.is_dir():
        sys.exit("DATA_DIR is missing: give the folder of the tables")
    found = {}
    for name in args.table or TABLES:
        table = OutcomeTable.read(args.folder / f"{name}.parquet")
        shares = table.coverage()
        table = table.select_arms([arm for arm, share in shares.items() if share > 0.99])
        print(f"== {name}, {args.router}, {args.seeds} seeds")
        found[name] = curve(table, args)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
