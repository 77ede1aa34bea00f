"""Other routing tools on the same split and the same embeddings, in one run.

python benchmarks/peers.py DATA_DIR [--table fusionbench9] [--encoder minilm] [--seeds 3]
    [--peer-python llmrouter=PATH] [--peer-python routellm=PATH] [--json FILE]

Peers: plain scikit-learn (regressors per arm, argmax, ties to the cheaper arm), `llmrouter-lib`
0.4.0 and `routellm` 0.2.0. Each runs in a process of its own with its own interpreter
(`peer_*.py`); a peer without an interpreter is skipped. Differences are paired per test query, ours
minus the peer's, performance first, with the bootstrap interval of `fusionfactory.intervals`. Fit
seconds leave embedding out on both sides, and reading the log on the peer's.

LLMRouter labels a query with the first of its best arms in the order of the log, so most labels
hang on that order: it gets the log as it stands, and once more with the best arm first (`best`).

RouteLLM routes between two models: the cheapest arm and the best single arm of the training side.
There every router sends half of the test queries to the strong arm, those it prefers it for most.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.contest import Contest
from fusionfactory.encoders import Encoder, make_encoder
from fusionfactory.exporters import export_table
from fusionfactory.intervals import Bootstrap
from fusionfactory.metrics import apgr, mean_or_nan, taken
from fusionfactory.policy import SCENARIOS as POLICIES
from fusionfactory.pricing import with_nominal_costs
from fusionfactory.routers import make_router
from fusionfactory.table import OutcomeTable
from routing import EMBEDDINGS, SCENARIOS, data_folder, encoder_spec, machine

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray, IntArray

PEERS = ("sklearn", "llmrouter", "routellm")
LIMIT_S = 1800
OURS = ("stack", "knn", "ridge", "svm", "trees", "clusters", "mlp", "factor", "elo")
TWO_ARMS = ("stack", "knn")
LIKE = {
    "sklearn KNeighborsRegressor": "knn",
    "sklearn Ridge": "ridge",
    "sklearn LinearSVR": "svm",
    "sklearn ExtraTreesRegressor": "trees",
    "sklearn KMeans": "clusters",
    "llmrouter knn": "knn",
    "llmrouter knn50": "knn",
    "llmrouter svm": "svm",
    "llmrouter mlp": "mlp",
    "llmrouter mf": "factor",
    "llmrouter elo": "elo",
    "routellm sw_ranking": "knn",
}
"""Our router of the same method; elsewhere the comparison is with `stack`."""


@dataclass
class Side:
    """What one router did, seed by seed."""

    quality: list[FloatArray] = field(default_factory=list)
    fit_s: list[float] = field(default_factory=list)
    route_us: list[float] = field(default_factory=list)
    apgr: list[float] = field(default_factory=list)

    def add(self, quality: FloatArray, fit_s: float, route_s: float) -> None:
        """Records one seed."""
        self.quality.append(quality)
        self.fit_s.append(fit_s)
        self.route_us.append(1e6 * route_s / len(quality))

    @property
    def mean(self) -> float:
        """Quality, mean over seeds."""
        return float(np.mean([mean_or_nan(quality) for quality in self.quality]))


@dataclass
class Board:
    """The sides of one game on the same test queries."""

    rows: list[IntArray] = field(default_factory=list)
    sides: dict[str, Side] = field(default_factory=lambda: defaultdict(Side))
    blocked: dict[str, str] = field(default_factory=dict)


def run_peer(peer: str, python: str, folder: Path) -> dict[str, Any]:
    """Runs a peer's program on a job.

    Returns:
        Router name to what it did; empty with a printed reason where the program failed.
    """
    program = Path(__file__).with_name(f"peer_{peer}.py")
    try:
        done = subprocess.run(
            [python, str(program), str(folder)],
            check=False, capture_output=True, text=True, timeout=LIMIT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{peer} skipped: {error}")
        return {}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{peer} skipped: its program failed with {last!r}")
        return {}
    result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return result


def write_job(folder: Path, contest: Contest, encoder: Encoder) -> None:
    """What a peer gets: rows, training outcomes, arms and texts."""
    train, test = contest.train, contest.test
    job = {
        "seed": contest.seed,
        "arms": train.arm_names,
        "train": train.texts,
        "test": test.texts,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    np.savez(
        folder / "data.npz",
        train=encoder.encode(train.texts),
        test=encoder.encode(test.texts),
        quality=train.quality,
        cost=np.nan_to_num(train.arm_cost_usd()),
    )


def play_all_arms(contest: Contest, encoder: Encoder, pythons: dict[str, str], to: Board) -> None:
    """Ours and the peers that route between any number of arms."""
    features = encoder.encode(contest.test.texts)
    quality = contest.test.quality
    to.rows.append(contest.test_rows)
    to.sides["best_single"].add(quality[:, contest.best_single], 0.0, 0.0)
    for spec in OURS:
        router = make_router(spec, encoder=encoder, seed=contest.seed)
        start = time.perf_counter()
        router.fit(contest.train)
        middle = time.perf_counter()
        picks = router.choose(router.estimate(features), POLICIES["performance"])
        end = time.perf_counter()
        to.sides[spec].add(taken(quality, picks), middle - start, end - middle)
    for peer in ("sklearn", "llmrouter"):
        if peer not in pythons:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_job(folder, contest, encoder)
            if peer == "llmrouter":
                names = contest.train.arm_names
                falling = [names[arm] for arm in np.argsort(-contest.train.arm_quality())]
                for order, arms in (("log", names), ("best", falling)):
                    (folder / order).mkdir()
                    export_table("llmrouter", contest.train.select_arms(arms), folder / order)
            for router_name, did in run_peer(peer, pythons[peer], folder).items():
                label = f"{peer} {router_name}"
                if "blocked" in did:
                    to.blocked[label] = did["blocked"]
                    continue
                chosen = taken(quality, np.asarray(did["picks"]))
                to.sides[label].add(chosen, did["fit_s"], did["route_s"])


def play_two_arms(
    table: OutcomeTable, seed: int, encoder: Encoder, pythons: dict[str, str], to: Board
) -> None:
    """Ours and RouteLLM between the cheapest arm and the best single arm."""
    whole = Contest.of(table, seed, 0.3)
    pair = [table.arm_names[whole.cheapest], table.arm_names[whole.best_single]]
    if "routellm" not in pythons or pair[0] == pair[1]:
        return
    contest = Contest.of(table.select_arms(pair), seed, 0.3)
    to.rows.append(contest.test_rows)
    features = encoder.encode(contest.test.texts)
    for spec in TWO_ARMS:
        router = make_router(spec, encoder=encoder, seed=seed)
        start = time.perf_counter()
        router.fit(contest.train)
        middle = time.perf_counter()
        estimates = router.estimate(features).quality
        end = time.perf_counter()
        _add_half(to.sides[spec], contest, estimates[:, 1] - estimates[:, 0], middle - start,
                  end - middle)  # fmt: skip
    chance = np.random.default_rng(seed).random(len(contest.test))
    _add_half(to.sides["random"], contest, chance, 0.0, 0.0)
    with tempfile.TemporaryDirectory() as name:
        write_job(Path(name), contest, encoder)
        for router_name, did in run_peer("routellm", pythons["routellm"], Path(name)).items():
            label = f"routellm {router_name}"
            if "blocked" in did:
                to.blocked[label] = did["blocked"]
                continue
            preference = np.asarray(did["preference"])
            _add_half(to.sides[label], contest, preference, did["fit_s"], did["route_s"])


def _add_half(
    side: Side, contest: Contest, preference: FloatArray, fit_s: float, route_s: float
) -> None:
    """Sends the half with the highest preference to the strong arm, column 1."""
    picks = np.zeros(len(preference), dtype=np.int64)
    picks[np.argsort(-preference, kind="stable")[: len(preference) // 2]] = 1
    side.add(taken(contest.test.quality, picks), fit_s, route_s)
    side.apgr.append(apgr(contest.test.quality, preference))


def show(title: str, board: Board, bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """Prints a board and returns its rows."""
    rows = []
    print(f"\n== {title}")
    for label, side in board.sides.items():
        row: dict[str, Any] = {
            "router": label,
            "quality": side.mean,
            "fit_s": float(np.mean(side.fit_s)),
            "route_us": float(np.mean(side.route_us)),
        }
        if side.apgr:
            row["apgr"] = float(np.mean(side.apgr))
        text = f"{label:28s} {side.mean:.4f}  fit {row['fit_s']:7.2f} s  {row['route_us']:9.1f} us"
        text += f"  apgr {row['apgr']:.3f}" if side.apgr else ""
        like = LIKE.get(label.removesuffix(" best"), "stack")
        for ours in dict.fromkeys(["stack", like]):
            if label in {*OURS, "random"} or len(side.quality) < len(board.rows):
                continue
            other = board.sides[ours]
            pairs = zip(other.quality, side.quality, strict=True)
            low, high = bootstrap.interval(board.rows, [mine - theirs for mine, theirs in pairs])
            row[f"{ours}_minus_peer"] = other.mean - side.mean
            row[f"{ours}_minus_peer_ci95"] = [low, high]
            row[f"fit_ratio_{ours}"] = row["fit_s"] / float(np.mean(other.fit_s))
            text += f"  {ours} {other.mean - side.mean:+.4f} [{low:+.4f}, {high:+.4f}]"
            text += f" fit x{row[f'fit_ratio_{ours}']:.2f}"
        rows.append(row)
        print(text)
    for label, reason in board.blocked.items():
        print(f"{label:28s} blocked: {reason}")
    sys.stdout.flush()
    return rows


def parse() -> argparse.Namespace:
    """The command line, with `folder` and `pythons` added."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", nargs="?", help="folder of the tables")
    parser.add_argument("--table", default="fusionbench9", choices=SCENARIOS, help="[fusionbench9]")
    parser.add_argument("--encoder", default="minilm", help="[minilm: precomputed]")
    parser.add_argument("--seeds", type=int, default=3, help="splits [3]")
    parser.add_argument("--peer-python", action="append", default=[], metavar="NAME=PATH",
                        help=f"interpreter of a peer: {', '.join(PEERS)}")  # fmt: skip
    parser.add_argument("--json", type=Path, help="write everything here")
    args = parser.parse_args()
    given = dict(item.partition("=")[::2] for item in args.peer_python)
    unknown = set(given) - set(PEERS)
    if unknown:
        parser.error(f"unknown peer {sorted(unknown)[0]!r}; known: {', '.join(PEERS)}")
    args.pythons = {"sklearn": sys.executable}
    for peer in PEERS:
        if Path(given.get(peer, "")).is_file():
            args.pythons[peer] = given[peer]
        elif peer in given:
            print(f"{peer} skipped: {given[peer]!r} is no interpreter")
        elif peer not in args.pythons:
            print(f"{peer} skipped: no --peer-python {peer}=PATH")
    args.folder = data_folder(args.data_dir, f"{args.table}.parquet", EMBEDDINGS)
    return args


def main() -> None:
    """Plays both games over the seeds and prints the boards."""
    args = parse()
    facts = machine()
    print(facts)
    table = OutcomeTable.read(args.folder / f"{args.table}.parquet")
    if not table.has_costs:
        table = with_nominal_costs(table)
    bootstrap = Bootstrap(table.groups())
    all_arms, two_arms = Board(), Board()
    for seed in range(args.seeds):
        contest = Contest.of(table, seed, 0.3)
        encoder = make_encoder(encoder_spec(args.encoder, args.folder)).fit(contest.train.texts)
        play_all_arms(contest, encoder, args.pythons, all_arms)
        play_two_arms(table, seed, encoder, args.pythons, two_arms)
        what = f"{args.table}, encoder {args.encoder}, {seed + 1} seed(s)"
        boards = {"all_arms": show(f"{what}: all arms", all_arms, bootstrap)}
        if two_arms.rows:
            boards["two_arms"] = show(f"{what}: two arms, half strong", two_arms, bootstrap)
        if args.json:
            content = {"machine": facts, "what": what, **boards}
            content["blocked"] = all_arms.blocked | two_arms.blocked
            args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
