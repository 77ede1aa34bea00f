"""Leave one arm out: how much of what an arm is worth to a router few labels bring back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.contest import Contest
from fusionfactory.errors import PolicyError
from fusionfactory.evaluation import Steps
from fusionfactory.left_out.setting import Setting
from fusionfactory.metrics import mean_or_nan, taken
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.onboarding import GrownRouter, choose_queries
from fusionfactory.routers import make_router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.evaluation import Progress
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["LABELS", "leave_arms_out"]

LABELS = (0, 25, 100)
"""Numbers of labelled queries that are compared by default."""


def leave_arms_out(
    table: OutcomeTable,
    routers: Sequence[str] = ("stack",),
    *,
    labels: Sequence[int] = LABELS,
    arms: Sequence[str] | None = None,
    scenario: str = "performance",
    seeds: int = 1,
    first_seed: int = 0,
    encoder: str = "text",
    test_share: float = 0.3,
    min_coverage: float = MIN_COVERAGE,
    draws: int = 1000,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fits routers without one arm, onboards it from few labels, for every arm.

    Held against a router that was fitted on all outcomes of all arms, and against one that never
    knew the arm; all of them are measured on the same test queries.

    Args:
        table: Outcomes of at least three arms.
        routers: Specifications as for `make_router`.
        labels: Numbers of training queries on which the arm's outcomes are known; with 0 it is
            added by its description and prices alone.
        arms: Names of the arms to leave out; all by default.
        scenario: Policy as for `Policy.parse`.
        seeds: Splits; seed s is the split's, the router's and that of the choice of the queries.
        first_seed: The seeds are this one and those that follow.
        encoder: Default encoder of the routers.
        test_share: Share of queries tested on.
        min_coverage: Arms that are scored on a smaller share of the queries are left out.
        draws: Bootstrap resamples.
        progress: Called before every fit with steps done, steps in all, and a label.

    Returns:
        JSON values: per router the rows of all arms and an `overall` row. The `gain` of `full` and
        of every entry of `labelled` is over the router that never knew the arm; `reached` is the
        share of the full gain, NaN where that is not clear of chance.

    Raises:
        TableError: There are fewer than three arms, or an arm is unknown.
        PolicyError: The scenario is unknown or cannot be run, a router knows one policy only, or a
            number of labels is below 0.
        UnknownNameError: A router, or a parameter of one, is unknown.
    """
    if any(number < 0 for number in labels) or not labels:
        msg = f"expected numbers of queries of at least 0, got {list(labels)}"
        raise PolicyError(msg, field="labels")
    for spec in routers:
        if make_router(spec, encoder=encoder).policy_bound:
            msg = f"{spec!r} learns one policy's labels and can take no arm: choose another router"
            raise PolicyError(msg, field="router")
    setting = Setting.of(table, routers, scenario, encoder, first_seed, min_coverage, draws, 3)
    named = list(setting.table.select_arms(arms).arm_names if arms else setting.table.arm_names)
    steps = Steps(progress, len(routers) * seeds * (1 + len(named)))
    found = []
    for spec in routers:
        trials = [_Trial(name, labels) for name in named]
        for seed in range(first_seed, first_seed + seeds):
            contest = Contest.of(setting.table, seed, test_share)
            steps.next(f"seed {seed}: {spec}")
            whole = setting.fitted(spec, contest.train)
            full = taken(contest.test.quality, setting.picks(whole, contest.test))
            for trial in trials:
                steps.next(f"seed {seed}: {spec} without {trial.name}")
                trial.run(setting, spec, contest, full)
        rows = [trial.row(setting) for trial in trials]
        found.append({"router": spec, "rows": rows, "overall": _overall(setting, trials, labels)})
    return {
        "by": "arm",
        "policy": setting.policy.name,
        "seed": first_seed,
        "seeds": seeds,
        "labels": list(labels),
        "routers": found,
    }


@dataclass
class _Trial:
    """One arm: what the router is worth without it, with it, and with it from few labels.

    Attributes:
        rows: Per seed, rows of the test queries.
        without: Per seed, (n,) quality of the router that never knew it.
        gains: `full` or number of labels to, per seed, (n,) gains over that router.
    """

    name: str
    labels: Sequence[int]
    rows: list[IntArray] = field(default_factory=list)
    without: list[FloatArray] = field(default_factory=list)
    gains: dict[int | None, list[FloatArray]] = field(default_factory=dict)

    def run(self, setting: Setting, spec: str, contest: Contest, full: FloatArray) -> None:
        """Adds one split.

        Args:
            setting: Policy, encoder and table.
            spec: Of the router.
            contest: The split.
            full: (n,) quality of the router that learnt all outcomes of all arms.
        """
        train, test = contest.train, contest.test
        others = [name for name in train.arm_names if name != self.name]
        base = setting.fitted(spec, train.select_arms(others))
        without = taken(test.quality, setting.picks(base, test))
        self.rows.append(contest.test_rows)
        self.without.append(without)
        self.gains.setdefault(None, []).append(full - without)
        arm = train.arms[train.arm_names.index(self.name)]
        for number in self.labels:
            known = None
            if number:
                rows = choose_queries(base, train.select_arms(others), number, seed=contest.seed)
                known = train.rows(rows)
            grown = GrownRouter.of(base).add_arm(arm, known)
            reached = taken(test.quality, setting.picks(grown, test))
            self.gains.setdefault(number, []).append(reached - without)

    def row(self, setting: Setting) -> dict[str, Any]:
        """Figures over all splits."""
        full = setting.gain(self.rows, self.gains[None])
        return {
            "name": self.name,
            "queries": len(np.unique(np.concatenate(self.rows))),
            "without": mean_or_nan(np.concatenate(self.without)),
            "full": full,
            "labelled": [
                _reached(setting.gain(self.rows, self.gains[number]), full) | {"labels": number}
                for number in self.labels
            ],
        }


def _reached(gain: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    """With the share of the full gain, where that is clear of chance."""
    clear = full["ci95"][0] > 0
    return gain | {"reached": gain["gain"] / full["gain"] if clear else float("nan")}


def _overall(setting: Setting, trials: Sequence[_Trial], labels: Sequence[int]) -> dict[str, Any]:
    """The mean over arms, every arm weighing the same."""
    rows = [rows for trial in trials for rows in trial.rows]

    def joined(key: int | None) -> dict[str, Any]:
        return setting.gain(rows, [gain for trial in trials for gain in trial.gains[key]])

    full = joined(None)
    return {
        "full": full,
        "labelled": [_reached(joined(number), full) | {"labels": number} for number in labels],
    }
