"""All levels on one footing: arms, prompts, students, routers and plans, honestly split.

Everything is chosen on the train side: the best arms, the best level per task, routers and plans.
What routers and plans do on train is known out of fold, so a level is not preferred for what it
learnt by heart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fusionfactory.contest import Contest
from fusionfactory.encoders import make_encoder
from fusionfactory.errors import PolicyError, TableError
from fusionfactory.evaluation import Encoded, applicable, clean, covered_arms, table_facts
from fusionfactory.fuse.board import board, details
from fusionfactory.fuse.bout import Bout
from fusionfactory.fuse.comparison import compare_levels
from fusionfactory.fuse.levels import LABELS, QUERY, levels_of
from fusionfactory.fuse.planned import PLANS, Planning
from fusionfactory.fuse.routed import Setting, route
from fusionfactory.intervals import Bootstrap
from fusionfactory.leaderboard import BASELINE_ROWS
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.policy import Policy
from fusionfactory.pricing import with_usable_costs
from fusionfactory.routers import make_router

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fusionfactory.evaluation import Progress
    from fusionfactory.fuse.levels import Level
    from fusionfactory.table import OutcomeTable

__all__ = ["Fusion", "fuse"]

FOLDS = 3
"""Parts of the train side: for each, routers and plans are fitted on the others."""

_JUDGED = "levels are compared by the task metric; `evaluate` compares routers by the judge"


@dataclass(frozen=True)
class Fusion:
    """What `fuse` found.

    Attributes:
        table: Facts about the table and the protocol.
        scenarios: Policy name to leaderboard rows, each with its `kind`.
        skipped: Policy name to the reason why it was not run.
        details: Curves, arms, tasks, shares and calibration for the report, of the first seed.
        fusion: The levels by task and domain under the first policy, and the plans in words.
    """

    table: dict[str, Any]
    scenarios: dict[str, list[dict[str, Any]]]
    skipped: dict[str, str]
    details: dict[str, Any]
    fusion: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values: what `evaluate` writes, and `fusion` besides."""
        return {
            "table": clean(self.table),
            "scenarios": clean(self.scenarios),
            "skipped": self.skipped,
            "details": clean(self.details),
            "fusion": clean(self.fusion),
        }


def fuse(
    table: OutcomeTable,
    *,
    plans: Sequence[str] = PLANS,
    router: str = "stack",
    students: Collection[str] = (),
    scenarios: Sequence[str] = ("performance",),
    seeds: int = 1,
    first_seed: int = 0,
    encoder: str = "text",
    test_share: float = 0.3,
    min_coverage: float = MIN_COVERAGE,
    folds: int = FOLDS,
    draws: int = 1000,
    progress: Progress | None = None,
) -> Fusion:
    """Compares the levels by task and domain, and chooses one per query.

    Args:
        table: Outcomes. Plans need its responses; without them they are left out.
        plans: Specifications as for `make_plan`; none for no plans.
        router: Of the query level and of the fused choice, as for `make_router`.
        students: Models that are distilled; none finds those that `distill register` described.
        scenarios: Policies as for `Policy.parse`; the levels' table is of the first.
        seeds: Splits; seed s is the split's, the router's and the plans'.
        first_seed: The seeds are this one and those that follow.
        encoder: Default encoder of the router.
        test_share: Share of queries tested on.
        min_coverage: Arms that are scored on a smaller share of the queries are left out.
        folds: Parts of the train side, at least 2.
        draws: Bootstrap resamples.
        progress: Called before every fit with steps done, steps in all, and a label.

    Raises:
        TableError: The table is too small, has fewer than two arms, or an arm has a row's name.
        PolicyError: A scenario's name is unknown, none can be run, or a number is out of range.
        UnknownNameError: The router or a plan, or a parameter of one, is unknown.
    """
    _check(router, encoder, seeds, folds)
    table, dropped = covered_arms(table, min_coverage)
    levels = _levels(table, students)
    table = with_usable_costs(table)
    policies, skipped = _by_metric(scenarios, table, min_coverage)
    planning = Planning.of(table, plans, folds)
    steps = _Steps(progress, seeds * (1 + len(planning)))
    bouts: dict[str, list[Bout]] = {policy.name: [] for policy in policies}
    for seed in range(first_seed, first_seed + seeds):
        contest = Contest.of(table, seed, test_share)
        fitted = Encoded(make_encoder(encoder).fit(contest.train.texts), table.texts)
        setting = Setting(levels, router, fitted, folds)
        steps.of(seed)(router)
        routed = route(contest, policies, levels[-1], setting) if levels[-1].name == QUERY else {}
        planned = planning.run(contest, policies, fitted, steps.of(seed))
        for policy in policies:
            bouts[policy.name].append(
                Bout.of(contest, policy, setting, routed, planned[policy.name])
            )
    bootstrap = Bootstrap(table.groups(), draws)
    first = bouts[policies[0].name]
    facts = table_facts(table, encoder, seeds, test_share, dropped)
    return Fusion(
        facts | {"router": router, "folds": folds},
        {name: board(rounds, bootstrap) for name, rounds in bouts.items()},
        skipped,
        details(first[0], table),
        compare_levels(first, draws)
        | {
            "levels": [{"name": level.name, "arms": list(level.arms)} for level in levels],
            "plans": planning.told,
            "plans_left_out": planning.reason,
        },
    )


@dataclass
class _Steps:
    report: Progress | None
    total: int
    done: int = 0

    def of(self, seed: int) -> Callable[[str], None]:
        """Reports the steps of one split by what is fitted."""

        def next_step(label: str) -> None:
            if self.report:
                self.report(self.done, self.total, f"seed {seed}: {label}")
            self.done += 1

        return next_step


def _check(router: str, encoder: str, seeds: int, folds: int) -> None:
    for name, number, least in (("seeds", seeds, 1), ("folds", folds, 2)):
        if number < least:
            msg = f"expected at least {least}, got {number}"
            raise PolicyError(msg, field=name)
    if make_router(router, encoder=encoder).policy_bound:
        msg = f"{router!r} knows one policy only: choose a router that is fitted for all of them"
        raise PolicyError(msg, field="router")


def _levels(table: OutcomeTable, students: Collection[str]) -> list[Level]:
    if len(table.arms) < 2:
        msg = f"only one arm ({table.arm_names[0]}): there is nothing to choose between"
        raise TableError(msg, field="llm")
    taken = sorted({*BASELINE_ROWS, *LABELS} & set(table.arm_names))
    if taken:
        msg = f"an arm is called {taken[0]!r}, as a row of every leaderboard is: rename it"
        raise TableError(msg, field="llm")
    return levels_of(table.arms, students)


def _by_metric(
    scenarios: Sequence[str], table: OutcomeTable, min_coverage: float
) -> tuple[list[Policy], dict[str, str]]:
    """The policies that can be run; the judge's is none, for levels are compared by the metric."""
    policies = [Policy.parse(name) for name in scenarios]
    judged = {policy.name: _JUDGED for policy in policies if policy.judge}
    rest = [policy for policy in policies if not policy.judge]
    if not rest:
        msg = f"no scenario can be run: {judged}"
        raise PolicyError(msg)
    found, skipped = applicable(rest, table, min_coverage)
    return found, skipped | judged
