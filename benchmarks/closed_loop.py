"""The closed loop on replayed outcomes: explore, log, learn, estimate, promote, measure.

A router fitted on a few complete queries decides a stream of others, epsilon-greedy. What it
chose, how likely that was and what it earned are logged, and nothing else. A candidate learns from
one half of the log and is estimated on the other. Since the table is complete, the truth is known:
on the held-out decisions themselves, and on every query that nobody learned from, which is what an
interval for future queries ought to hold.

python benchmarks/closed_loop.py [DATA_DIR] [--seeds N]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from fusionfactory.demo import bundled_log
from fusionfactory.gateway.learning.candidate import fit_candidate, held_out
from fusionfactory.gateway.learning.evidence import Rated
from fusionfactory.gateway.learning.promotion import compare
from fusionfactory.gateway.log.logged import Logged
from fusionfactory.intervals import Bootstrap
from fusionfactory.policy import Policy
from fusionfactory.routers import make_router
from fusionfactory.table import CELLS, OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.off_policy import Estimate
    from fusionfactory.routers import Router
    from fusionfactory.types import BoolArray, FloatArray, IntArray

LEGEND = """\
world, learner, policy; true gain on unseen queries, and the share of the seeds where it is above 0;
scored trials of what would change; per method, of the seeds' intervals, how many hold the true gain
on all unseen queries, and on the held-out decisions, and their median width; how many candidates
were promoted, how many of these rightly, and what these truly gained, with a paired interval"""
LEARNERS = ("trees", "stack", "ridge", "knn", "best_single")


class Log(NamedTuple):
    """What a gateway knows after the stream.

    Attributes:
        logged: Its decisions.
        outcomes: The complete seed queries and one answer of every decision.
        incumbent: The router that decided.
        rows: Of the stream, in the whole table.
        rest: Rows that nobody has seen.
    """

    logged: Logged
    outcomes: OutcomeTable
    incumbent: Router
    rows: IntArray
    rest: IntArray


@dataclass(frozen=True)
class World:
    """A complete table, and how it is streamed.

    Attributes:
        name: For the print.
        table: No cell is missing.
        encoder: Of its texts.
        first: Queries that the first router is fitted on.
        stream: Queries that it then decides.
        epsilon: Share of its choices that are uniform.
        scored: Share of the answers whose quality is known.
    """

    name: str
    table: OutcomeTable
    encoder: str
    first: int
    stream: int
    epsilon: float
    scored: float = 1.0

    def log(self, seed: int, router: str = "ridge", policy: str = "performance") -> Log:
        """Fits the first router and lets it decide."""
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(self.table))
        first, rows, rest = np.split(order, [self.first, self.first + self.stream])
        known = self.table.rows(first)
        incumbent = make_router(router, encoder=self.encoder, seed=seed).fit(known)
        streamed, arms = self.table.rows(rows), len(self.table.arms)
        greedy = picks(incumbent, streamed.texts, policy)
        explored = rng.random(len(rows)) < self.epsilon
        chosen = np.where(explored, rng.integers(arms, size=len(rows)), greedy)
        propensity = self.epsilon / arms + (1 - self.epsilon) * (chosen == greedy)
        at = np.arange(len(rows))
        scored = rng.random(len(rows)) < self.scored
        reward = np.where(scored, streamed.quality[at, chosen], np.nan)
        logged = Logged(
            ids=streamed.queries["query_id"].to_list(),
            text=streamed.texts,
            arms=streamed.arm_names,
            chosen=chosen,
            propensity=propensity,
            reward=reward,
            cost_usd=streamed.cost_usd[at, chosen],
            at=at.astype(np.float64),
        )
        return Log(
            logged, _outcomes(self.table, first, rows, chosen, scored), incumbent, rows, rest
        )


def picks(router: Router, texts: Sequence[str], policy: str) -> IntArray:
    """(n,) columns that a router chooses."""
    return router.choose(router.estimate(list(texts)), Policy.parse(policy))


def _outcomes(
    table: OutcomeTable, first: IntArray, rows: IntArray, chosen: IntArray, scored: BoolArray
) -> OutcomeTable:
    """The table as far as it was seen; what came through the gateway has no task."""
    both = table.rows(np.concatenate([first, rows]))
    seen = np.zeros(both.quality.shape, dtype=bool)
    seen[: len(first)] = True
    seen[np.arange(len(first), len(both)), chosen] = True
    cells = {name: np.where(seen, getattr(both, name), np.nan) for name in CELLS}
    cells["quality"][len(first) :][~scored] = np.nan
    tasks = both.queries["task"].to_list()[: len(first)] + [None] * len(rows)
    queries = both.queries.with_columns(pl.Series("task", tasks, dtype=pl.String))
    return replace(both, queries=queries, responses=None, **cells)


class Outcome(NamedTuple):
    """What one seed showed.

    Attributes:
        estimates: `dr`, `ips`, `snips` of the utility's gain.
        held: True gain on the held-out decisions.
        everywhere: True gain on all queries that nobody learned from.
        rest: (k,) rows of the table that the loop never saw.
        gains: (k,) true gain on each of them.
        promoted: Whether the gate let the candidate pass.
        tried: Trials of what the candidate would do differently.
    """

    estimates: dict[str, Estimate]
    held: float
    everywhere: float
    rest: IntArray
    gains: FloatArray
    promoted: bool
    tried: int


def turn(world: World, seed: int, learner: str, policy: str) -> Outcome:
    """One turn of the loop."""
    log = world.log(seed, policy=policy)
    held = held_out(log.logged, 0.5, seed=seed)
    candidate = fit_candidate(
        log.outcomes, log.logged, held, router=learner, encoder=world.encoder, seed=seed,
        incumbent=log.incumbent,
    ).router  # fmt: skip
    both = Rated(candidate), Rated(log.incumbent)
    told = compare(log.logged, *both, Policy.parse(policy), among=held)
    price = 0.0 if not told.usd_per_point else 0.01 / told.usd_per_point
    utility = world.table.quality - price * world.table.cost_usd

    def gain(rows: IntArray) -> FloatArray:
        texts = world.table.rows(rows).texts
        new, old = (_columns(world.table, one, texts, policy) for one in (candidate, log.incumbent))
        return utility[rows, new] - utility[rows, old]

    judged, fresh = gain(log.rows[held]), gain(log.rest)
    everywhere = np.concatenate([judged, fresh]).mean()
    estimates = {"dr": told.utility, "ips": told.by_ips, "snips": told.by_snips}
    promoted = not told.objections
    tried = told.support.tried
    return Outcome(estimates, judged.mean(), everywhere, log.rest, fresh, promoted, tried)


def _columns(table: OutcomeTable, router: Router, texts: Sequence[str], policy: str) -> IntArray:
    names = np.array([table.arm_names.index(arm.name) for arm in router.arms_])
    return names[picks(router, texts, policy)]


def covered(found: Sequence[Outcome], method: str) -> tuple[int, int]:
    """How many intervals hold the true gain everywhere, and on the held-out decisions."""
    pairs = [(one.estimates[method], one) for one in found]
    return (
        sum(told.low <= one.everywhere <= told.high for told, one in pairs),
        sum(told.low <= one.held <= told.high for told, one in pairs),
    )


def measured(found: Sequence[Outcome], queries: int) -> tuple[float, float, float]:
    """Mean true gain of the promoted on queries never seen before, and its paired interval."""
    promoted = [one for one in found if one.promoted]
    if not promoted:
        return (float("nan"),) * 3
    rows, gains = [one.rest for one in promoted], [one.gains for one in promoted]
    low, high = Bootstrap(np.arange(queries)).interval(rows, gains)
    return float(np.mean([gain.mean() for gain in gains])), low, high


def show(world: World, learner: str, policy: str, seeds: int) -> None:
    """Prints what the seeds showed."""
    found = [turn(world, seed, learner, policy) for seed in range(seeds)]
    line = []
    for method in ("dr", "snips", "ips"):
        everywhere, held = covered(found, method)
        width = np.median([told.high - told.low for told in (o.estimates[method] for o in found)])
        line.append(f"{method} {everywhere:3d} {held:3d} {width:6.3f}")
    true = np.array([one.everywhere for one in found])
    promoted = np.array([one.promoted for one in found])
    gain, low, high = measured(found, len(world.table))
    print(
        f"{world.name:25} {learner:14} {policy:11} {true.mean():+.4f} {(true > 0).mean():4.0%} "
        f"{np.mean([one.tried for one in found]):6.1f}   {'  '.join(line)}   {promoted.sum():3d} "
        f"{(promoted & (true > 0)).sum():3d} {gain:+.4f} ({low:+.4f} to {high:+.4f})",
        flush=True,
    )


def worlds(folder: Path | None) -> list[World]:
    """Ways to stream the tables that are here."""
    log = bundled_log("questions")
    bundled = log.select_arms([name for name, share in log.coverage().items() if share == 1])
    found = [World("bundled, 3 arms", replace(bundled, responses=None), "text", 40, 500, 0.3)]
    if folder is not None:
        table = OutcomeTable.read(folder / "zeroeval.parquet")
        complete = [n for n, share in table.coverage().items() if share == 1]
        table = replace(table.select_arms(complete), responses=None)
        encoder = f"file:{folder / 'minilm_embeddings.parquet'}"
        some = table.select_arms(sorted(complete)[::4])
        found += [
            World("zeroeval, 24 arms, eps .3", table, encoder, 50, 1800, 0.3),
            World("zeroeval, 6 arms, eps .1", some, encoder, 50, 1800, 0.1),
            World("zeroeval, 6 arms, eps .3", some, encoder, 50, 1800, 0.3),
            World("zeroeval, 6, 30% scored", some, encoder, 50, 1800, 0.3, 0.3),
        ]
    return found


def main() -> None:
    """Prints a line per world, learner and policy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--learners", default=",".join(LEARNERS))
    parser.add_argument("--policies", default="performance,balance")
    told = parser.parse_args()
    print(LEGEND)
    for world in worlds(told.folder):
        for policy in told.policies.split(","):
            for learner in told.learners.split(","):
                show(world, learner, policy, told.seeds)


if __name__ == "__main__":
    main()
