"""The evaluation protocol: split by query, fit on train, compare on test with paired intervals.

Everything is chosen on the training side: ranges of the normalisation, the best single arm, the
tasks' best arms, the mixtures of the Zero router, and whatever a router chooses inside its `fit`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fusionfactory.contest import Contest, baseline_entries
from fusionfactory.encoders import Encoder, make_encoder
from fusionfactory.errors import PolicyError, TableError
from fusionfactory.intervals import Bootstrap
from fusionfactory.leaderboard import leaderboard
from fusionfactory.metrics import mean_or_nan
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.policy import Policy
from fusionfactory.pricing import NOMINAL_OUTPUT_TOKENS, with_usable_costs
from fusionfactory.robustness import Robustness, examine
from fusionfactory.routers import BASE_ROUTERS, PAPER, make_router
from fusionfactory.trial import run_router

if TYPE_CHECKING:
    from fusionfactory.robustness import Exam
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = [
    "DEFAULT_SCENARIOS",
    "Encoded",
    "Evaluation",
    "Steps",
    "applicable",
    "clean",
    "covered_arms",
    "evaluate",
    "table_facts",
]

DEFAULT_SCENARIOS = ("performance", "balance", "cost", "judge")

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what comes next."""


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
    details: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for judged in (False, True):
        chosen = [policy for policy in policies if policy.judge == judged]
        if not chosen:
            continue
        subject = covered_arms(table.judged(), min_coverage)[0] if judged else table
        exams: list[Exam] | None = [] if robustness and policies[0] in chosen else None
        contests = [
            _contest(
                subject, routers, chosen, seed, encoder, test_share, steps,
                None if seed > first_seed else exams,
            )
            for seed in range(first_seed, first_seed + seeds)
        ]  # fmt: skip
        for policy in chosen:
            boards[policy.name] = leaderboard(contests, policy, bootstrap)
        if not details:
            details = _details(subject, contests)
        if exams:
            found = Robustness.of(exams, subject, policies[0], first_seed).to_json()
    order = {policy.name: boards[policy.name] for policy in policies}
    facts = table_facts(table, encoder, seeds, test_share, dropped)
    return Evaluation(facts, order, skipped, details, found)


@dataclass
class Steps:
    """Steps of a run, reported before each as `Progress` wants them."""

    report: Progress | None
    total: int
    done: int = 0

    def next(self, label: str) -> None:
        """Reports the next one by its label."""
        if self.report:
            self.report(self.done, self.total, label)
        self.done += 1


class Encoded(Encoder):
    """A fitted encoder that remembers the rows of one table's queries."""

    name = "encoded"

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        distinct = sorted(set(texts))
        start = time.perf_counter()
        self._encoder = encoder
        self._rows = encoder.encode(distinct)
        self.us_per_query = 1e6 * (time.perf_counter() - start) / len(distinct)
        self._index = {text: row for row, text in enumerate(distinct)}

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """The remembered rows; rows of any other text are computed."""
        if not all(text in self._index for text in texts):
            return self._encoder.encode(texts)
        return self._rows[[self._index[text] for text in texts]]

    def blocks(self, width: int) -> list[tuple[str, int]]:
        """Those of the encoder."""
        return self._encoder.blocks(width)


def _contest(
    table: OutcomeTable,
    routers: Sequence[str],
    policies: Sequence[Policy],
    seed: int,
    encoder: str,
    test_share: float,
    steps: Steps,
    exams: list[Exam] | None,
) -> Contest:
    """A split and what every router did there; each is examined by the first policy, if at all."""
    contest = Contest.of(table, seed, test_share)
    contest.entries.update(baseline_entries(contest, policies))
    encoded: dict[str, Encoded] = {}
    for spec in routers:
        steps.next(f"seed {seed}: {spec}")
        router = make_router(spec, encoder=encoder, seed=seed)
        features = None
        if router.uses_features:
            name = str(router.encoder)
            if name not in encoded:
                fitted = make_encoder(name).fit(contest.train.texts)
                encoded[name] = Encoded(fitted, table.texts)
            router = type(router)(**router.params() | {"encoder": encoded[name]})
            features = encoded[name].encode(contest.test.texts)
            contest.encode_us_per_query[name] = encoded[name].us_per_query
        contest.entries[spec] = replace(run_router(router, contest, policies, features), name=spec)
        if exams is not None:
            if router.policy_bound:
                router.fit(contest.train, policies[0])
            exams.append(
                examine(router, contest.train, contest.test, policies[0], name=spec, seed=seed)
            )
    return contest


def covered_arms(table: OutcomeTable, min_coverage: float) -> tuple[OutcomeTable, dict[str, float]]:
    """The table without arms that are scored on too few queries, and those arms' shares.

    Raises:
        TableError: No arm is scored on enough queries.
    """
    shares = table.coverage()
    kept = [name for name, share in shares.items() if share > 0 and share >= min_coverage]
    if not kept:
        best = max(shares.values())
        msg = f"no arm is scored on {min_coverage:.0%} of the queries (the best on {best:.0%})"
        raise TableError(msg, field="performance")
    dropped = {name: share for name, share in shares.items() if name not in kept}
    return (table.select_arms(kept) if dropped else table), dropped


def _judged_arms(table: OutcomeTable, min_coverage: float) -> int:
    return int(((~np.isnan(table.judge)).mean(axis=0) >= min_coverage).sum())


def applicable(
    policies: Sequence[Policy], table: OutcomeTable, min_coverage: float
) -> tuple[list[Policy], dict[str, str]]:
    """The policies that the table can be evaluated under, and why not the others.

    Raises:
        PolicyError: There is none.
    """
    skipped: dict[str, str] = {}
    for policy in policies:
        costly = policy.beta > 0 or policy.budget_usd is not None or policy.max_cost_usd is not None
        if policy.judge and not table.has_judge:
            skipped[policy.name] = "the table has no judge scores"
        elif policy.judge and _judged_arms(table, min_coverage) < 2:
            reason = f"fewer than two arms have judge scores on {min_coverage:.0%} of the queries"
            skipped[policy.name] = reason
        elif costly and not table.has_costs:
            skipped[policy.name] = "the table has neither costs nor prices"
    kept = [policy for policy in policies if policy.name not in skipped]
    if not kept:
        msg = f"no scenario can be run: {skipped}"
        raise PolicyError(msg)
    return kept, skipped


def table_facts(
    table: OutcomeTable, encoder: str, seeds: int, test_share: float, dropped: dict[str, float]
) -> dict[str, Any]:
    """Facts about a table, the protocol and its audit."""
    groups = table.groups()
    split = table.split(test=test_share, seed=0)
    shared = np.intersect1d(split.train.text_digests(), split.test.text_digests())
    facts: dict[str, Any] = {
        "queries": len(table),
        "arms": len(table.arms),
        "tasks": len(set(table.tasks.tolist())),
        "fingerprint": table.fingerprint(),
        "cost_basis": table.cost_basis,
        "has_judge": table.has_judge,
        "observed_share": float(table.observed().mean()),
        "coverage": table.coverage(),
        "arms_left_out": dropped,
        "near_duplicate_queries": len(table) - len(np.unique(groups)),
        "queries_in_train_and_test": len(shared),
        "encoder": encoder,
        "seeds": seeds,
        "test_share": test_share,
        "train_queries": len(split.train),
        "test_queries": len(split.test),
    }
    if table.cost_basis == "nominal":
        facts["nominal_output_tokens"] = NOMINAL_OUTPUT_TOKENS
    return facts


def _details(table: OutcomeTable, contests: Sequence[Contest]) -> dict[str, Any]:
    """For the report: the first seed's curves, shares and calibration; the table's means."""
    first = contests[0]
    tasks = table.tasks
    names = sorted(set(tasks.tolist()))
    heat = [[mean_or_nan(column) for column in table.quality[tasks == name].T] for name in names]
    shares: dict[str, Any] = {}
    for spec, entry in first.entries.items():
        if spec in {"oracle", "zero"}:
            continue
        picks = next(iter(entry.picks.values()))
        shares[spec] = [
            np.bincount(picks[first.test.tasks == t], minlength=len(table.arms)).tolist()
            for t in names
        ]
    entries = first.entries.items()
    return {
        "arms": [
            {
                "name": arm.name,
                "quality": float(q),
                "cost_usd": float(c),
                "input_price": arm.input_price,
                "output_price": arm.output_price,
            }
            for arm, q, c in zip(
                first.test.arms, first.test.arm_quality(), first.test.arm_cost_usd(), strict=True
            )
        ],
        "tasks": [{"name": t, "queries": int((tasks == t).sum())} for t in names],
        "task_quality": heat,
        "shares": shares,
        "curves": {spec: entry.points.tolist() for spec, entry in entries if len(entry.points)},
        "calibration": {spec: entry.calibration for spec, entry in entries if entry.calibration},
        "encode_us_per_query": first.encode_us_per_query,
    }


def clean(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """The same JSON value with null for NaN and infinities, floats at ten significant digits."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.10g}") if np.isfinite(value) else None
    return value
