"""The evaluation protocol: split by query, fit on train, compare on test with paired intervals.

Everything is chosen on the training side: ranges of the normalisation, the best single arm, the
tasks' best arms, the mixtures of the Zero router, and whatever a router chooses inside its `fit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fusionfactory.encoded import Encoded
from fusionfactory.errors import PolicyError, TableError
from fusionfactory.facts import clean, details, table_facts
from fusionfactory.intervals import Bootstrap
from fusionfactory.leaderboard import leaderboard
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.outcome_sums import OutcomeSums
from fusionfactory.policy import Policy
from fusionfactory.pricing import with_usable_costs
from fusionfactory.robustness import Robustness
from fusionfactory.routers import BASE_ROUTERS, PAPER, make_router
from fusionfactory.steps import Progress, Steps
from fusionfactory.trials import Heat, held, in_turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.table import OutcomeTable
    from fusionfactory.trials import Trials

__all__ = [
    "DEFAULT_SCENARIOS",
    "Encoded",
    "Evaluation",
    "Progress",
    "Steps",
    "applicable",
    "clean",
    "covered_arms",
    "evaluate",
    "runnable",
    "scored_arms",
    "table_facts",
]

DEFAULT_SCENARIOS = ("performance", "balance", "cost", "judge")


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        table: Facts about the table, the protocol and its audit.
        scenarios: Policy name to leaderboard rows, best reward first within routers.
        skipped: Policy name to the reason why it was not run.
        details: Curves, arms, tasks, shares and calibration for the report.
        robustness: What edits and triggers do to the routers; empty where not asked for.
    """

    table: dict[str, Any]
    scenarios: dict[str, list[dict[str, Any]]]
    skipped: dict[str, str]
    details: dict[str, Any] = field(default_factory=dict)
    robustness: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values; NaN and infinities become null."""
        content = {
            "table": clean(self.table),
            "scenarios": clean(self.scenarios),
            "skipped": self.skipped,
            "details": clean(self.details),
        }
        return content | ({"robustness": clean(self.robustness)} if self.robustness else {})


def evaluate(
    table: OutcomeTable,
    routers: Sequence[str] = (*BASE_ROUTERS, *PAPER),
    *,
    scenarios: Sequence[str] = DEFAULT_SCENARIOS,
    seeds: int = 1,
    first_seed: int = 0,
    encoder: str = "text",
    test_share: float = 0.3,
    min_coverage: float = MIN_COVERAGE,
    draws: int = 1000,
    robustness: bool = False,
    trials: Trials = in_turn,
    progress: Progress | None = None,
) -> Evaluation:
    """Fits and compares routers by the protocol.

    Args:
        table: Outcomes. Without costs, nominal ones (`pricing.with_nominal_costs`) stand in.
        routers: Specifications as for `make_router`.
        scenarios: Policies as for `Policy.parse`.
        seeds: Splits; seed s is both the split's and the routers'.
        first_seed: The seeds are this one and those that follow.
        encoder: Default encoder of the routers that take one.
        test_share: Share of queries tested on.
        min_coverage: Arms that are scored on a smaller share of the queries are left out: what an
            arm did on some queries cannot be compared with what others did on all.
        draws: Bootstrap resamples.
        robustness: Whether to try edits and triggers on the routers of the first seed, under the
            first scenario.
        trials: Who fits and asks the routers.
        progress: Called before every fit with steps done, steps in all, and a label.

    Raises:
        TableError: The table is too small, or has fewer than two arms.
        PolicyError: A scenario's name is unknown, or no scenario can be run.
        UnknownNameError: A router, or a parameter of one, is unknown.
    """
    if seeds < 1:
        msg = f"needs at least one seed, got {seeds}"
        raise PolicyError(msg, field="seeds")
    for spec in routers:
        make_router(spec, encoder=encoder)
    table, dropped = covered_arms(table, min_coverage)
    if len(table.arms) < 2:
        msg = f"only one arm ({table.arm_names[0]}): there is nothing to route between"
        raise TableError(msg, field="llm")
    table = with_usable_costs(table)
    policies, skipped = applicable([Policy.parse(name) for name in scenarios], table, min_coverage)
    bootstrap = Bootstrap(table.groups(), draws)
    passes = len({policy.judge for policy in policies})
    steps = Steps(progress, passes * seeds * len(routers))
    boards: dict[str, list[dict[str, Any]]] = {}
    told: dict[str, Any] = {}
    examined: dict[str, Any] = {}
    for judged in (False, True):
        chosen = tuple(policy for policy in policies if policy.judge == judged)
        if not chosen:
            continue
        subject = covered_arms(table.judged(), min_coverage)[0] if judged else table
        exam = policies[0] if robustness and policies[0] in chosen else None
        heats = [
            Heat(subject, seed, test_share, chosen, encoder, exam if seed == first_seed else None)
            for seed in range(first_seed, first_seed + seeds)
        ]
        contests, exams = held(heats, routers, steps, trials)
        for policy in chosen:
            boards[policy.name] = leaderboard(contests, policy, bootstrap)
        told = told or details(OutcomeSums.of(subject), contests)
        if exams:
            examined = Robustness.of(exams, subject, policies[0], first_seed).to_json()
    order = {policy.name: boards[policy.name] for policy in policies}
    facts = table_facts(table, encoder, seeds, test_share, dropped)
    return Evaluation(facts, order, skipped, told, examined)


def covered_arms(table: OutcomeTable, min_coverage: float) -> tuple[OutcomeTable, dict[str, float]]:
    """The table without arms that are scored on too few queries, and those arms' shares.

    Raises:
        TableError: No arm is scored on enough queries.
    """
    shares = table.coverage()
    kept = scored_arms(shares, min_coverage)
    dropped = {name: share for name, share in shares.items() if name not in kept}
    return (table.select_arms(kept) if dropped else table), dropped


def scored_arms(shares: Mapping[str, float], min_coverage: float) -> list[str]:
    """The arms that are scored on enough queries, in their order.

    Args:
        shares: Arm to the share of the queries on which it is scored.
        min_coverage: The least share.

    Raises:
        TableError: No arm is.
    """
    kept = [name for name, share in shares.items() if share > 0 and share >= min_coverage]
    if not kept:
        best = max(shares.values())
        msg = f"no arm is scored on {min_coverage:.0%} of the queries (the best on {best:.0%})"
        raise TableError(msg, field="performance")
    return kept


def applicable(
    policies: Sequence[Policy], table: OutcomeTable, min_coverage: float
) -> tuple[list[Policy], dict[str, str]]:
    """The policies that the table can be evaluated under, and why not the others.

    Raises:
        PolicyError: There is none.
    """
    judged = table.judged().coverage() if table.has_judge else None
    return runnable(policies, min_coverage, judged=judged, has_costs=table.has_costs)


def runnable(
    policies: Sequence[Policy],
    min_coverage: float,
    *,
    judged: Mapping[str, float] | None,
    has_costs: bool,
) -> tuple[list[Policy], dict[str, str]]:
    """As `applicable`, of what is known of a table.

    Args:
        policies: To run.
        min_coverage: The least share of the queries on which an arm must have judge scores.
        judged: Arm to the share on which it has them; None where there is none at all.
        has_costs: Whether any cost is known.

    Raises:
        PolicyError: None can be run.
    """
    skipped: dict[str, str] = {}
    for policy in policies:
        costly = policy.beta > 0 or policy.budget_usd is not None or policy.max_cost_usd is not None
        if policy.judge and judged is None:
            skipped[policy.name] = "the table has no judge scores"
        elif policy.judge and sum(share >= min_coverage for share in (judged or {}).values()) < 2:
            reason = f"fewer than two arms have judge scores on {min_coverage:.0%} of the queries"
            skipped[policy.name] = reason
        elif costly and not has_costs:
            skipped[policy.name] = "the table has neither costs nor prices"
    kept = [policy for policy in policies if policy.name not in skipped]
    if not kept:
        msg = f"no scenario can be run: {skipped}"
        raise PolicyError(msg)
    return kept, skipped
