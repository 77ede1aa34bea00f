"""What the thought gate's `risk` buys: gains kept and tasks made worse, where the truth is known.

Three candidates on six tasks. Their true gains are those of the paper's thought level (by domain,
over zero-shot, an arm drawn for each candidate), normal ones around +2 points, normal ones around
-5 points, and none at all. With DATA_DIR also real outcomes: one arm of FusionBench as baseline,
the three arms nearest to it as candidates, learnt on some queries of a task and tried on the rest.

python benchmarks/thought_gate.py [DATA_DIR]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fusionfactory.table import OutcomeTable
from fusionfactory.thoughts.gating.evidence import NONE, Trials
from fusionfactory.thoughts.gating.gate import RISK, Gate, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fusionfactory.types import FloatArray

RISKS = (0.5, 0.2, 0.1, 0.05, 0.01)
SIZES = (30, 100, 300)
TASKS, CANDIDATES, ROUNDS = 6, 3, 200
DISCORD = 0.3
ALLOWANCE = 0.005
MOST_HARMED = 0.02
ZERO_SHOT = np.array([0.602, 0.517, 0.715, 0.334, 0.834, 0.398])
PAPER = np.array(
    [
        [0.610, 0.423, 0.778, 0.301, 0.956, 0.443],
        [0.544, 0.564, 0.793, 0.302, 0.962, 0.441],
        [0.612, 0.550, 0.778, 0.312, 0.966, 0.447],
        [0.588, 0.562, 0.796, 0.303, 0.970, 0.473],
    ]
)


class Case(NamedTuple):
    """Trials to learn on, and the (t, c) gains that are true, or were seen on other queries."""

    trials: Trials
    truth: FloatArray


def main() -> None:
    """Prints a line per case, size and risk."""
    worlds: dict[str, Callable[[np.random.Generator], FloatArray]] = {
        "paper": lambda rng: (PAPER - ZERO_SHOT)[rng.integers(len(PAPER), size=CANDIDATES)].T,
        "around +2": lambda rng: normal(rng, 0.02),
        "around -5": lambda rng: normal(rng, -0.05),
        "none": lambda _: np.zeros((TASKS, CANDIDATES)),
    }
    print("gains        train/task  risk   gain, points (of)  tasks worse by > .5  tasks changed")
    good = True
    for size in SIZES:
        for name, world in worlds.items():
            good &= show(name, size, list(made(world, size)))
    if len(sys.argv) > 1:
        table = OutcomeTable.read(Path(sys.argv[1]) / "fusionbench9.parquet")
        for size in SIZES[:2]:
            show("FusionBench", size, list(real(table, size)))
    verdict = "PASS" if good else "FAIL"
    print(f"{verdict}: at a risk of {RISK} at most {MOST_HARMED:.0%} of tasks are made worse")


def normal(rng: np.random.Generator, centre: float) -> FloatArray:
    """Gains of tasks that the candidates share, and some of their own."""
    shared = rng.normal(centre, 0.08, (TASKS, 1))
    return np.asarray(shared + rng.normal(0, 0.03, (TASKS, CANDIDATES)))


def made(world: Callable[[np.random.Generator], FloatArray], size: int) -> Iterator[Case]:
    """Wins and losses by chance around true gains."""
    rng = np.random.default_rng(0)
    tasks = np.repeat(np.arange(TASKS), size)
    for _ in range(ROUNDS):
        truth = world(rng)
        moved = np.maximum(DISCORD, np.abs(truth) + 0.02)[tasks]
        wins = (moved + truth[tasks]) / 2
        luck = rng.random(wins.shape)
        values = (luck < wins).astype(float) - (luck > 1 - (moved - wins))
        yield Case(Trials(values, tasks, np.arange(len(tasks)), TASKS), truth)


def real(table: OutcomeTable, size: int) -> Iterator[Case]:
    """Every arm as baseline, ten times; the gains are those on the queries not learnt on."""
    names, tasks = np.unique(table.tasks, return_inverse=True)
    rng = np.random.default_rng(0)
    means = table.quality.mean(axis=0)
    for _ in range(10):
        order = rng.permutation(len(table))
        place = np.empty(len(table), dtype=np.int64)
        for task in range(len(names)):
            mine = order[tasks[order] == task]
            place[mine] = np.arange(len(mine))
        learnt = place < size
        for arm in range(len(means)):
            near = np.argsort(np.abs(means - means[arm]))[1 : CANDIDATES + 1]
            values = table.quality[:, near] - table.quality[:, [arm]]
            truth = [values[(tasks == task) & ~learnt].mean(axis=0) for task in range(len(names))]
            trials = Trials(values, tasks, table.groups(), len(names))
            yield Case(trials.rows(np.nonzero(learnt)[0]), np.array(truth))


def show(name: str, size: int, cases: list[Case]) -> bool:
    """Prints a line per risk; whether the default keeps what it promises."""
    weighed = [case.trials.weigh() for case in cases]
    most = np.mean([np.maximum(case.truth.max(axis=1), 0).mean() for case in cases])
    good = True
    for risk in RISKS:
        margin = Gate("", "", ("",) * CANDIDATES, risk, {}, Rule("", {})).margin
        got, used = [], []
        for case, evidence in zip(cases, weighed, strict=True):
            tasks = len(case.truth)
            chosen = evidence.best(margin, np.full(evidence.gain.shape, np.nan))[:tasks]
            got.append(np.where(chosen == NONE, 0.0, case.truth[np.arange(tasks), chosen]))
            used.append(chosen != NONE)
        harmed = float((np.array(got) < -ALLOWANCE).mean())
        print(
            f"{name:12} {size:10d}  {risk:4.2f}   {100 * np.mean(got):6.2f} ({100 * most:5.2f})"
            f"     {harmed:14.1%}      {np.mean(used):14.1%}"
        )
        if risk == RISK:
            good = harmed <= MOST_HARMED
    return good


if __name__ == "__main__":
    main()
