"""Routing figures on real outcomes: every base-install router against the best single arm.

python benchmarks/routing.py DATA_DIR [--encoder text --encoder minilm] [--seeds 3] [--json FILE]

DATA_DIR holds `fusionbench9.parquet`, `zeroeval.parquet`, `mmlu_pro_dev.parquet`, and for the
encoders `minilm` and `minilm+text` also `minilm_embeddings.parquet` (vectors by text, so that no
run pays for embedding). `evaluate` splits by query, 70/30, seeds from 0 on; every difference to the
best single arm is paired, with a bootstrap interval over queries. Ends with PASS and FAIL lines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fusionfactory.evaluation import Evaluation, evaluate
from fusionfactory.routers import BASE_ROUTERS, PAPER
from fusionfactory.table import OutcomeTable

SCENARIOS = {
    "fusionbench9": ("performance", "balance", "cost", "judge"),
    "zeroeval": ("performance", "price:0.0002"),
    "mmlu_pro_dev": ("performance", "price:0.00002"),
}
"""Prices are USD per point of quality, where cheap and dear arms compete on that table."""
ENCODERS = ("text", "minilm", "minilm+text")
EMBEDDINGS = "minilm_embeddings.parquet"
QUICK_ROUTERS = ("stack", "ridge", "knn")

QUALITY_TARGET = 0.660
ABOVE_SINGLE = ("knn", "ridge", "clusters", "trees")
NEVER_BELOW = 0.003
SAVE_TARGET = {"zeroeval": 0.50, "mmlu_pro_dev": 0.20}
WALL_TARGET_S = 300.0


@dataclass
class Run:
    """One `evaluate`: what it found and what it took."""

    table: str
    encoder: str
    seeds: int
    wall_s: float
    cpu_s: float
    load: tuple[float, float]
    scenarios: dict[str, list[dict[str, Any]]]
    skipped: dict[str, str] = field(default_factory=dict)

    def row(self, router: str, scenario: str = "performance") -> dict[str, Any]:
        """The leaderboard row of a router; empty if it did not run."""
        rows = self.scenarios[scenario]
        return next((row for row in rows if row["router"] == router), {})

    def seed_gains(self, router: str, scenario: str = "performance") -> list[float]:
        """Quality minus best single's, per seed."""
        pair = [self.row(name, scenario)["quality_seeds"] for name in (router, "best_single")]
        return [ours - single for ours, single in zip(*pair, strict=True)]


def data_folder(text: str | None, *names: str) -> Path:
    """The folder of the tables.

    Raises:
        SystemExit: None is given, or it lacks a file.
    """
    wanted = ", ".join(names)
    if not text:
        sys.exit(f"DATA_DIR is missing: give the folder with {wanted} (make bench DATA=folder)")
    folder = Path(text)
    lacking = [name for name in names if not (folder / name).is_file()]
    if lacking:
        sys.exit(f"DATA_DIR {text!r} lacks {', '.join(lacking)}; it must hold {wanted}")
    return folder


def encoder_spec(name: str, folder: Path) -> str:
    """`minilm` stands for the folder's precomputed vectors; other names are specs already."""
    parts = [
        f"file:{folder / EMBEDDINGS}" if part == "minilm" else part for part in name.split("+")
    ]
    return "+".join(parts)


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    import numpy as np
    import sklearn

    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "unset"),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "sklearn": sklearn.__version__,
    }


def run(table: OutcomeTable, name: str, encoder: str, args: argparse.Namespace) -> Run:
    """Evaluates one table with one encoder."""
    routers = args.router or (QUICK_ROUTERS if args.quick else (*BASE_ROUTERS, *PAPER))
    load = os.getloadavg()[0]
    wall, cpu = time.perf_counter(), time.process_time()
    found: Evaluation = evaluate(
        table,
        routers,
        scenarios=SCENARIOS[name],
        seeds=args.seeds,
        first_seed=args.first_seed,
        encoder=encoder_spec(encoder, args.folder),
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    content = found.to_json()
    loads = (round(load, 1), round(os.getloadavg()[0], 1))
    return Run(
        name, encoder, args.seeds, wall, cpu, loads, content["scenarios"], content["skipped"]
    )


def show(result: Run) -> None:
    """Prints the rows of a run."""
    print(
        f"\n== {result.table}, encoder {result.encoder}, {result.seeds} seed(s): "
        f"wall {result.wall_s:.0f} s, CPU {result.cpu_s:.0f} s, load {result.load}"
    )
    for scenario, reason in result.skipped.items():
        print(f"   {scenario} skipped: {reason}")
    for scenario, rows in result.scenarios.items():
        print(
            f"-- {scenario}\n{'router':12s} quality  gain [95 % interval]       reward  "
            "cost_save  _1pt  fit_s  p50_ms  per-seed gain"
        )
        for row in rows:
            low, high = row["ci95"]
            gains = " ".join(f"{gain:+.4f}" for gain in result.seed_gains(row["router"], scenario))
            latency = row["decide_p50_ms"]
            print(
                f"{row['router']:12s} {row['quality']:.4f}  {row['gain']:+.4f} "
                f"[{low:+.4f}, {high:+.4f}]  {row['reward']:+.4f}  {row['cost_save']:9.3f} "
                f"{row['cost_save_1pt']:5.3f} {row['fit_s']:6.2f}  "
                f"{latency if latency is None else round(latency, 3)!s:>6}  {gains}"
            )


def verdicts(runs: list[Run]) -> list[tuple[bool, str]]:
    """The targets that these runs can tell about."""
    lines: list[tuple[bool, str]] = []
    for result in runs:
        where = f"{result.table}, {result.encoder}"
        stack = result.row("stack")
        if not stack:
            continue
        if result.table == "fusionbench9":
            low = stack["ci95"][0]
            lines.append(
                (
                    stack["quality"] >= QUALITY_TARGET and low > 0,
                    f"{where}: stack {stack['quality']:.4f} (>= {QUALITY_TARGET}), gain from "
                    f"{low:+.4f} (> 0)",
                )
            )
            lines += [_above(result, router) for router in ABOVE_SINGLE if result.row(router)]
            if result.encoder == "minilm" and result.seeds >= 3 and result.row(PAPER[-1]):
                lines.append(
                    (
                        result.wall_s < WALL_TARGET_S,
                        f"{where}: {result.wall_s:.0f} s wall (< {WALL_TARGET_S:.0f}), "
                        f"{result.cpu_s:.0f} s CPU, {result.seeds} seeds",
                    )
                )
            continue
        worst = min(result.seed_gains("stack"))
        lines.append(
            (worst >= -NEVER_BELOW, f"{where}: stack's worst seed {worst:+.4f} (>= -{NEVER_BELOW})")
        )
        saved, target = stack["cost_save_1pt"], SAVE_TARGET[result.table]
        lines.append((saved >= target, f"{where}: stack cost_save_1pt {saved:.3f} (>= {target})"))
    return lines


def _above(result: Run, router: str) -> tuple[bool, str]:
    row = result.row(router)
    low, high = row["ci95"]
    text = f"{row['quality']:.4f}, gain [{low:+.4f}, {high:+.4f}]"
    return low > 0, f"{result.table}, {result.encoder}: {router} above best single: {text}"


def save(path: Path, runs: list[Run], facts: dict[str, Any]) -> None:
    """Writes everything as JSON."""
    lines = [{"passed": passed, "target": text} for passed, text in verdicts(runs)]
    content = {"machine": facts, "runs": [vars(result) for result in runs], "targets": lines}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The command line, with `folder` added."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", nargs="?", help="folder of the tables")
    parser.add_argument("--encoder", action="append", help=f"repeatable [{', '.join(ENCODERS)}]")
    parser.add_argument("--table", action="append", choices=SCENARIOS, help="repeatable [all]")
    parser.add_argument("--router", action="append", help="repeatable [those of the base install]")
    parser.add_argument("--seeds", type=int, default=3, help="splits [3]")
    parser.add_argument("--first-seed", type=int, default=0, help="of the splits [0]")
    parser.add_argument("--quick", action="store_true", help="one seed, three routers, text")
    parser.add_argument("--json", type=Path, help="write everything here")
    args = parser.parse_args()
    args.table = args.table or list(SCENARIOS)
    args.encoder = args.encoder or list(ENCODERS[:1] if args.quick else ENCODERS)
    args.seeds = 1 if args.quick else args.seeds
    names = [f"{name}.parquet" for name in args.table]
    if any("minilm" in encoder for encoder in args.encoder):
        names.append(EMBEDDINGS)
    args.folder = data_folder(args.data_dir, *names)
    return args


def main() -> None:
    """Runs, prints, and compares with the targets."""
    args = parse()
    facts = machine()
    print(facts)
    runs: list[Run] = []
    for name in args.table:
        table = OutcomeTable.read(args.folder / f"{name}.parquet")
        for encoder in args.encoder:
            runs.append(run(table, name, encoder, args))
            show(runs[-1])
            sys.stdout.flush()
            if args.json:
                save(args.json, runs, facts)
    print()
    for passed, text in verdicts(runs):
        print(f"{'PASS' if passed else 'FAIL'}  {text}")


if __name__ == "__main__":
    main()
