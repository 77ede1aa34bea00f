"""What plans and routers gain on real outcomes, held against what they are meant to reach.

python benchmarks/fuse.py DATA_DIR [--seeds 5] [--first-seed 0] [--only plans] [--json FILE]
    [--train-share 0.5]

DATA_DIR holds `zeroeval.parquet`, `mmlu_pro_dev.parquet` and `fusionbench9.parquet`. Queries are
split 70/30, near-duplicates on one side; plans and routers see the train side only, without a task
label. A plan's price of quality is chosen on train: the best it reaches for no more than the best
single arm costs there, and the cheapest that keeps the best single arm's quality there; both are
mixtures of two neighbouring prices, each for a share of the queries. Ends with PASS and FAIL lines;
a FAIL is a figure that is not reached, not an error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.answers import AnswerGroups, group_answers
from fusionfactory.contest import Contest, baseline_entries
from fusionfactory.errors import PolicyError
from fusionfactory.intervals import Bootstrap
from fusionfactory.metrics import mean_cost, taken
from fusionfactory.plans import make_plan
from fusionfactory.plans.calibration import expected_calibration_error
from fusionfactory.plans.conformal import boldest
from fusionfactory.plans.replay import Recorded
from fusionfactory.policy import SCENARIOS
from fusionfactory.routers import make_router
from fusionfactory.table import OutcomeTable
from fusionfactory.trial import run_router

if TYPE_CHECKING:
    from fusionfactory.plans import Plan, Replayed
    from fusionfactory.types import FloatArray, IntArray

PLAN_TARGETS = {"zeroeval": (0.860, 0.30), "mmlu_pro_dev": (0.725, 0.50)}
"""Quality for no more than the best single arm's cost; share of its cost for its quality."""
ROUTED_TARGET = 0.668
ECE_TARGET = 0.03
PROMISED_LOSS, PROMISE_SLACK, RESPLITS = 0.02, 0.01, 100
PARTS = ("plans", "routers")


@dataclass
class Split:
    """What a plan did on one split; USD per query."""

    seed: int
    fit_s: float
    single: float
    single_usd: float
    same_cost: float
    same_cost_usd: float
    same_quality: float
    same_quality_usd: float
    calibration_error: float
    promise_kept: float
    gain: FloatArray = field(repr=False)
    rows: IntArray = field(repr=False)
    curve: FloatArray = field(repr=False)
    arms: FloatArray = field(repr=False)


def complete_arms(table: OutcomeTable) -> OutcomeTable:
    """Without arms that lack a query, but for a few missing cells."""
    shares = table.coverage()
    return table.select_arms([name for name, share in shares.items() if share > 0.99])


def price_shares(plan: Plan, contest: Contest) -> tuple[FloatArray, FloatArray]:
    """Chosen on train: (p,) shares of all prices for the single arm's cost, and for its quality."""
    train, single = contest.train, contest.best_single
    spend, gain = np.asarray(plan.spend_usd_), np.asarray(plan.gain_)  # type: ignore[attr-defined]
    within = np.nonzero(spend <= train.arm_cost_usd()[single])[0]
    enough = np.nonzero(gain >= train.arm_quality()[single])[0]
    cheap = int(within[gain[within].argmax()]) if within.size else int(spend.argmin())
    dear = int(enough[spend[enough].argmin()]) if enough.size else int(gain.argmax())
    return (
        _mixed(spend, max(cheap - 1, 0), cheap, float(train.arm_cost_usd()[single])),
        _mixed(gain, dear, min(dear + 1, len(gain) - 1), float(train.arm_quality()[single])),
    )


def _mixed(values: FloatArray, high: int, low: int, wanted: float) -> FloatArray:
    """(p,) shares of two prices whose mean value is the one that is wanted, as near as can be."""
    rise = float(values[high] - values[low])
    share = float(np.clip((wanted - values[low]) / rise, 0.0, 1.0)) if rise > 0 else 1.0
    shares = np.zeros(len(values))
    shares[high] = share
    shares[low] += 1.0 - share
    return shares


def run_plan(
    table: OutcomeTable, answers: AnswerGroups, seed: int, spec: str, share: float
) -> Split:
    """Fits a plan on a share of one split's train side and measures it."""
    contest = Contest.of(table, seed, 0.3)
    test, single = contest.test, contest.best_single
    rows = np.setdiff1d(np.arange(len(table)), contest.test_rows)
    trained, tested = answers.rows(rows), answers.rows(contest.test_rows)
    used = np.sort(np.random.default_rng(seed).permutation(len(rows))[: round(share * len(rows))])
    start = time.perf_counter()
    plan = make_plan(spec, seed=seed).fit(contest.train.rows(used), answers=trained.rows(used))
    fit_s = time.perf_counter() - start
    by_cost, by_quality = price_shares(plan, contest)
    recorded = Recorded.of(plan, test, tested)
    runs = [recorded.run(plan.at(step)) for step in range(len(plan.price_))]  # type: ignore[attr-defined]
    points = np.array([(mean_cost(run.cost_usd), np.nanmean(run.quality)) for run in runs])
    same_cost_usd, same_cost = by_cost @ points
    same_quality_usd, same_quality = by_quality @ points
    most = runs[int(by_cost.argmax())]
    quality = by_cost @ np.stack([run.quality for run in runs])
    return Split(
        seed,
        fit_s,
        float(np.nanmean(test.quality[:, single])),
        float(np.nanmean(test.cost_usd[:, single])),
        float(same_cost),
        float(same_cost_usd),
        float(same_quality),
        float(same_quality_usd),
        expected_calibration_error(most.confidence, most.quality),
        promise(runs, seed),
        quality - test.quality[:, single],
        contest.test_rows,
        points,
        np.stack([test.arm_cost_usd(), test.arm_quality()], axis=1),
    )


def show_curve(splits: list[Split]) -> tuple[float, list[str]]:
    """Prints the curve: at every price of quality the mean over the splits.

    Returns:
        The share of the single arm's cost at which the curve, with mixtures of neighbouring
        prices, has its quality; and in words the points that a single arm beats: better for no
        more cost, or as good for less.
    """
    curve = np.mean([split.curve for split in splits], axis=0)
    arms = np.mean([split.arms for split in splits], axis=0)
    single = np.mean([split.single for split in splits])
    single_usd = np.mean([split.single_usd for split in splits])
    beaten = []
    for step, (cost, quality) in enumerate(curve):
        better = (arms[:, 0] <= cost) & (arms[:, 1] >= quality) & (arms != curve[step]).any(axis=1)
        print(f"  {1e6 * cost:8.0f}e-6 USD  {quality:.4f}{'  beaten' if better.any() else ''}")
        if better.any():
            beaten.append(f"{quality:.4f} at {1e6 * cost:.0f}e-6")
    upwards = np.argsort(curve[:, 0], kind="stable")
    reached = np.maximum.accumulate(curve[upwards, 1])
    usd = np.interp(single, reached, curve[upwards, 0], right=float("inf"))
    return float(usd / single_usd), beaten


def promise(runs: list[Replayed], seed: int) -> float:
    """Mean loss over resplits at the price whose loss was promised from the other half.

    A resplit on which nothing can be promised runs at price 0 and loses nothing.
    """
    rng = np.random.default_rng(seed)
    quality = np.stack([run.quality for run in runs], axis=1)
    losses = np.clip(quality[:, :1] - quality, 0.0, None)
    losses = losses[~np.isnan(losses).any(axis=1)]
    lost = []
    for _ in range(RESPLITS):
        half = rng.random(len(losses)) < 0.5
        try:
            step = boldest(losses[half], PROMISED_LOSS)
        except PolicyError:
            step = 0
        lost.append(losses[~half, step].mean())
    return float(np.mean(lost))


def run_router_split(table: OutcomeTable, seed: int, spec: str) -> tuple[Contest, IntArray]:
    """A router's picks on one split, and the split with its baselines."""
    contest = Contest.of(table, seed, 0.3)
    policy = SCENARIOS["performance"]
    contest.entries.update(baseline_entries(contest, [policy]))
    entry = run_router(make_router(spec, seed=seed), contest, [policy], None)
    return contest, entry.picks[policy.name]


def interval(
    table: OutcomeTable, rows: list[IntArray], gains: list[FloatArray]
) -> tuple[float, float, float]:
    """Mean gain over seeds and its 95 % interval."""
    low, high = Bootstrap(table.groups()).interval(rows, gains)
    return float(np.mean([np.nanmean(gain) for gain in gains])), low, high


class Verdicts:
    """PASS and FAIL lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[bool, str]] = []

    def check(self, what: str, *, reached: bool) -> None:
        """Notes one."""
        self.lines.append((reached, what))

    def show(self) -> None:
        """Prints all."""
        print()
        for reached, what in self.lines:
            print(f"{'PASS' if reached else 'FAIL'} {what}")


def plans_part(folder: Path, args: argparse.Namespace, verdicts: Verdicts) -> dict[str, object]:
    """The plans on the tables with responses."""
    found: dict[str, object] = {}
    for name, (quality, share) in PLAN_TARGETS.items():
        if args.table and name not in args.table:
            continue
        table = complete_arms(OutcomeTable.read(folder / f"{name}.parquet"))
        start = time.perf_counter()
        answers = group_answers(table)
        print(f"\n== {name}: {len(table)} queries, {len(table.arms)} arms; answers grouped in "
              f"{time.perf_counter() - start:.0f} s")  # fmt: skip
        splits = []
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            splits.append(run_plan(table, answers, seed, args.plan, args.train_share))
            print(json.dumps(_plain(splits[-1])))
        means = {key: float(np.mean([_plain(s)[key] for s in splits])) for key in _plain(splits[0])}
        gain, low, high = interval(table, [s.rows for s in splits], [s.gain for s in splits])
        print(f"mean {json.dumps({k: round(v, 6) for k, v in means.items()})}\n"
              f"gain for the single arm's cost {gain:+.4f} [{low:+.4f}, {high:+.4f}]")  # fmt: skip
        cheap = means["same_quality_usd"] / means["single_usd"]
        spent, single = 1e6 * means["same_cost_usd"], 1e6 * means["single_usd"]
        verdicts.check(
            f"{name}: {args.plan} {means['same_cost']:.4f} at {spent:.0f}e-6 USD (>= {quality} at "
            f"<= {single:.0f}e-6)",
            reached=means["same_cost"] >= quality and means["same_cost_usd"] <= means["single_usd"],
        )
        verdicts.check(
            f"{name}: {means['same_quality']:.4f} at {cheap:.0%} of the single arm's cost (>= "
            f"{means['single']:.4f} at <= {share:.0%})",
            reached=means["same_quality"] >= means["single"] and cheap <= share,
        )
        share_on_curve, beaten = show_curve(splits)
        verdicts.check(
            f"{name}: the mean curve has the single arm's quality from {share_on_curve:.0%} of its "
            f"cost (<= {share:.0%}; read off the test side)",
            reached=share_on_curve <= share,
        )
        verdicts.check(
            f"{name}: points of the curve that a single arm beats: {', '.join(beaten) or 'none'}",
            reached=not beaten,
        )
        verdicts.check(
            f"{name}: ECE {means['calibration_error']:.3f} (<= {ECE_TARGET})",
            reached=means["calibration_error"] <= ECE_TARGET,
        )
        verdicts.check(
            f"{name}: loss {means['promise_kept']:.4f} where {PROMISED_LOSS} was promised, over "
            f"{RESPLITS} resplits (<= {PROMISED_LOSS + PROMISE_SLACK})",
            reached=means["promise_kept"] <= PROMISED_LOSS + PROMISE_SLACK,
        )
        found[name] = {"mean": means, "gain": [gain, low, high]}
    return found


def _plain(split: Split) -> dict[str, float]:
    return {
        key: value
        for key, value in asdict(split).items()
        if key not in {"gain", "rows", "curve", "arms"}
    }


def routers_part(folder: Path, args: argparse.Namespace, verdicts: Verdicts) -> dict[str, object]:
    """The router alone: above the task oracle, and above the best single arm."""
    found: dict[str, object] = {}
    for name, rival in (("fusionbench9", "task_best"), ("mmlu_pro_dev", "best_single")):
        if args.table and name not in args.table:
            continue
        table = complete_arms(OutcomeTable.read(folder / f"{name}.parquet"))
        rows, gains, means = [], [], []
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            contest, picks = run_router_split(table, seed, args.router)
            quality = taken(contest.test.quality, picks)
            other = taken(contest.test.quality, contest.entries[rival].picks["performance"])
            rows.append(contest.test_rows)
            gains.append(quality - other)
            means.append(float(np.nanmean(quality)))
        gain, low, high = interval(table, rows, gains)
        found[name] = {"quality": means, "gain": [gain, low, high]}
        told = f"{name}: {args.router} {np.mean(means):.4f}, {gain:+.4f} [{low:+.4f}, {high:+.4f}]"
        enough = rival == "best_single" or np.mean(means) >= ROUTED_TARGET
        wanted = f" (>= {ROUTED_TARGET})" if rival == "task_best" else ""
        verdicts.check(
            f"{told} against {rival}{wanted}, interval above 0", reached=enough and low > 0
        )
    return found


def main() -> None:
    """Runs the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--plan", default="cascade")
    parser.add_argument("--train-share", type=float, default=1.0, help="of the plans' train side")
    parser.add_argument("--router", default="stack")
    parser.add_argument("--table", action="append")
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.folder is None or not args.folder.is_dir():
        sys.exit("DATA_DIR is missing: give the folder of the tables")
    parts = {"plans": plans_part, "routers": routers_part}
    verdicts = Verdicts()
    load = os.getloadavg()[0]
    found = {
        name: part(args.folder, args, verdicts)
        for name, part in parts.items()
        if not args.only or name in args.only
    }
    verdicts.show()
    print(f"cores {os.cpu_count()}, load {load:.1f} to {os.getloadavg()[0]:.1f}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
