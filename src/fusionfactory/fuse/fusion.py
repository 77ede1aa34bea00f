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
from fusionfactory.evaluation import Encoded, Steps, applicable, clean, covered_arms, table_facts
from fusionfactory.fuse.board import board, details
from fusionfactory.fuse.comparison import compare_levels
from fusionfactory.fuse.hardness import examined
from fusionfactory.fuse.levels import LABELS, levels_of
from fusionfactory.fuse.planned import PLANS, Planning
from fusionfactory.fuse.rounds import Rounds
from fusionfactory.fuse.routed import Setting
from fusionfactory.intervals import Bootstrap
from fusionfactory.leaderboard import BASELINE_ROWS
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.policy import Policy
from fusionfactory.pricing import with_usable_costs
from fusionfactory.routers import make_router

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fusionfactory.evaluation import Progress
    from fusionfactory.table import OutcomeTable

__all__ = ["FOLDS", "Fusion", "check", "checked", "fuse"]

FOLDS = 3
"""Parts of the train side: for each, routers and plans are fitted on the others."""


@dataclass(frozen=True)
class Fusion:
    """What `fuse` found.

    Attributes:
        table: Facts about the table and the protocol.
        scenarios: Policy name to leaderboard rows, each with its `kind`.
        skipped: Policy name to the reason why it was not run.
        details: Curves, arms, tasks, shares and calibration for the report, of the first seed.
        fusion: The levels by task and domain under the first policy, and the plans in words.
        robustness: What edits and triggers do to the fused choice; empty where not asked for.
    """

    table: dict[str, Any]
    scenarios: dict[str, list[dict[str, Any]]]
    skipped: dict[str, str]
    details: dict[str, Any]
    fusion: dict[str, Any] = field(default_factory=dict)
    robustness: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values: what `evaluate` writes, and `fusion` besides."""
        content = {
            "table": clean(self.table),
            "scenarios": clean(self.scenarios),
            "skipped": self.skipped,
            "details": clean(self.details),
            "fusion": clean(self.fusion),
        }
        return content | ({"robustness": clean(self.robustness)} if self.robustness else {})


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
    robustness: bool = False,
    progress: Progress | None = None,
) -> Fusion:
    """Compares the levels by task and domain, and chooses one per query.

    Args:
        table: Outcomes. Plans need its responses; without them they are left out.
        plans: Specifications as for `make_plan`; none for no plans.
        router: Of the query level and of the fused choice, as for `make_router`.
        students: Models that are distilled; none finds those that `distill register` described.
        scenarios: Policies as for `Policy.parse`; the levels' table is of the first. Under `judge`
            the judge's scores take the place of the task metric, for routers and plans too.
        seeds: Splits; seed s is the split's, the router's and the plans'.
        first_seed: The seeds are this one and those that follow.
        encoder: Default encoder of the router.
        test_share: Share of queries tested on.
        min_coverage: Arms that are scored on a smaller share of the queries are left out.
        folds: Parts of the train side, at least 2.
        draws: Bootstrap resamples.
        robustness: Whether to try edits and triggers on the fused choice of the first seed.
        progress: Called before every fit with steps done, steps in all, and a label.

    Raises:
        TableError: The table is too small, has fewer than two arms, or an arm has a row's name.
        PolicyError: A scenario's name is unknown, none can be run, or a number is out of range.
        UnknownNameError: The router or a plan, or a parameter of one, is unknown.
    """
    check(router, encoder, seeds, folds)
    table, dropped = covered_arms(table, min_coverage)
    levels_of(checked(table).arms, students)
    table = with_usable_costs(table)
    policies, skipped = applicable([Policy.parse(name) for name in scenarios], table, min_coverage)
    planning = Planning.of(table, plans, folds)
    passes = [Rounds.of(table, [p for p in policies if not p.judge], planning, students)]
    if any(policy.judge for policy in policies):
        scored = covered_arms(table.judged(), min_coverage)[0]
        columns = [table.arm_names.index(name) for name in scored.arm_names]
        judged = [policy for policy in policies if policy.judge]
        passes.append(Rounds.of(scored, judged, planning.among(columns), students))
    passes = [one for one in passes if one.policies]
    steps = _Steps(progress, len(passes) * seeds * (1 + len(planning)))
    for one in passes:
        for seed in range(first_seed, first_seed + seeds):
            contest = Contest.of(one.table, seed, test_share)
            fitted = Encoded(make_encoder(encoder).fit(contest.train.texts), table.texts)
            one.run(contest, Setting(one.levels, router, fitted, folds), steps.of(seed))
    bootstrap = Bootstrap(table.groups(), draws)
    bouts = {name: rounds for one in passes for name, rounds in one.bouts.items()}
    leading = next(one for one in passes if policies[0] in one.policies)
    first = leading.bouts[policies[0].name]
    facts = table_facts(table, encoder, seeds, test_share, dropped)
    return Fusion(
        facts | {"router": router, "folds": folds},
        {policy.name: board(bouts[policy.name], bootstrap) for policy in policies},
        skipped,
        details(first[0], leading.table),
        compare_levels(first, draws) | leading.to_json(),
        examined(first[0], draws) if robustness else {},
    )


class _Steps(Steps):
    def of(self, seed: int) -> Callable[[str], None]:
        """Reports the steps of one split by what is fitted."""
        return lambda label: self.next(f"seed {seed}: {label}")


def check(router: str, encoder: str, seeds: int, folds: int) -> None:
    """Finds wrong numbers, and routers that cannot take part, before anything is fitted.

    Raises:
        PolicyError: A number is out of range, or the router knows one policy only.
        UnknownNameError: The router, or a parameter of it, is unknown.
    """
    for name, number, least in (("seeds", seeds, 1), ("folds", folds, 2)):
        if number < least:
            msg = f"expected at least {least}, got {number}"
            raise PolicyError(msg, field=name)
    if make_router(router, encoder=encoder).policy_bound:
        msg = f"{router!r} knows one policy only: choose a router that is fitted for all of them"
        raise PolicyError(msg, field="router")


def checked(table: OutcomeTable) -> OutcomeTable:
    """The table, where there is something to choose between and no arm is called as a row is.

    Raises:
        TableError: There is one arm only, or one is called so.
    """
    if len(table.arms) < 2:
        msg = f"only one arm ({table.arm_names[0]}): there is nothing to choose between"
        raise TableError(msg, field="llm")
    taken = sorted({*BASELINE_ROWS, *LABELS} & set(table.arm_names))
    if taken:
        msg = f"an arm is called {taken[0]!r}, as a row of every leaderboard is: rename it"
        raise TableError(msg, field="llm")
    return table
