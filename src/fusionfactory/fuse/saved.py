"""The fused choice for use: plans and a router over arms and plans, fitted on a whole table."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.encoders import make_encoder
from fusionfactory.errors import RouterFileError, TableError
from fusionfactory.evaluation import Encoded, applicable, covered_arms
from fusionfactory.fuse.arena import with_columns
from fusionfactory.fuse.fusion import FOLDS, check, checked
from fusionfactory.fuse.planned import PLANS, Planning
from fusionfactory.fuse.priced import under
from fusionfactory.metrics import mean_cost, mean_or_nan
from fusionfactory.missing import MIN_COVERAGE
from fusionfactory.plans import save_plan
from fusionfactory.plans.files import check_directory as check_plan
from fusionfactory.policy import Policy
from fusionfactory.pricing import with_usable_costs
from fusionfactory.routers import make_router, save_router
from fusionfactory.routers.files import check_directory as check_router
from fusionfactory.sealed import STAGING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.evaluation import Progress
    from fusionfactory.fuse.arena import Answered
    from fusionfactory.plans import Plan
    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable

__all__ = ["PLAN_FOLDER", "ROUTER_FOLDER", "Fused", "check_directory", "fit_fused", "save_fused"]

ROUTER_FOLDER = "router"
PLAN_FOLDER = "plans"


@dataclass(frozen=True)
class Fused:
    """What a gateway needs to choose per query among arms and plans.

    Attributes:
        router: Over the arms, and the plans by their names.
        plans: Name to plan, as it runs under the policy.
        policy: That the plans run by, and at which the router knows them.
        left_out: Why there are no plans; None where there are.
    """

    router: Router
    plans: dict[str, Plan]
    policy: Policy
    left_out: str | None = None


def fit_fused(
    table: OutcomeTable,
    *,
    plans: Sequence[str] = PLANS,
    router: str = "stack",
    scenario: str = "performance",
    seed: int = 0,
    encoder: str = "text",
    min_coverage: float = MIN_COVERAGE,
    folds: int = FOLDS,
    progress: Progress | None = None,
) -> Fused:
    """Fits plans on all of a table, and a router on it and on what they do there out of fold.

    A plan is named by its kind, such as `cascade`; several of a kind are numbered: `vote-1`.

    Args:
        table: Outcomes. Plans need its responses; without them they are left out.
        plans: Specifications as for `make_plan`; none for no plans.
        router: As for `make_router`.
        scenario: The policy that plans run by, as for `Policy.parse`. The router decides by any.
        seed: Of the router, the plans and the parts.
        encoder: Default encoder of the router; the plans' encoder.
        min_coverage: Arms that are scored on a smaller share of the queries are left out.
        folds: Parts of the table, at least 2: what plans do on one is found by fits on the others.
        progress: Called before every fit with steps done, steps in all, and a label.

    Raises:
        TableError: The table is too small, has fewer than two arms, or an arm has a plan's name.
        PolicyError: The scenario is unknown or cannot be run, or the router knows one policy only.
        UnknownNameError: The router or a plan, or a parameter of one, is unknown.
    """
    check(router, encoder, 1, folds)
    table = with_usable_costs(checked(covered_arms(table, min_coverage)[0]))
    policy = Policy.parse(scenario)
    applicable([policy], table, min_coverage)
    planning = Planning.of(table, plans, folds)
    if policy.judge:
        scored = covered_arms(table.judged(), min_coverage)[0]
        planning = planning.among([table.arm_names.index(name) for name in scored.arm_names])
        table = scored
    names = _names(table, planning.specs)
    fitted = make_encoder(encoder).fit(table.texts)
    remembered = Encoded(fitted, table.texts)
    made: dict[str, Plan] = {}
    done: dict[str, Answered] = {}
    for step, (name, spec) in enumerate(zip(names, planning.specs, strict=True)):
        if progress:
            progress(step, len(names) + 1, f"saving: {spec}")
        plan = under(planning.fit(spec, table, seed, fitted), policy)
        answered = planning.inside(spec, table, seed, remembered, [policy])[policy.name]
        plan.metrics_ = {
            "quality": mean_or_nan(answered.quality),
            "cost_usd": mean_cost(answered.cost_usd),
        }
        made[name], done[name] = plan, answered
    if progress:
        progress(len(names), len(names) + 1, f"saving: {router}")
    chooser = make_router(router, encoder=fitted, seed=seed).fit(with_columns(table, done))
    # It learned from this table; what plans do there is worked out and in no file.
    chooser.fingerprint_ = table.fingerprint()
    return Fused(chooser, made, policy, planning.reason)


def save_fused(fused: Fused, directory: str | Path) -> None:
    """Writes `router/` and `plans/NAME/`, all of it or nothing; an older one is replaced.

    Args:
        fused: Fitted.
        directory: Made if absent.

    Raises:
        RouterFileError: The directory holds something else.
    """
    directory = Path(directory).resolve()
    check_directory(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=directory.parent, prefix=STAGING))
    try:
        save_router(fused.router, staging / "new" / ROUTER_FOLDER)
        for name, plan in fused.plans.items():
            save_plan(plan, staging / "new" / PLAN_FOLDER / name)
        if directory.exists():
            directory.replace(staging / "old")
        (staging / "new").replace(directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_directory(directory: Path) -> None:
    """Raises RouterFileError where a fused choice may not be written: something else is there."""
    if not directory.exists():
        return
    plans = directory / PLAN_FOLDER
    names = {file.name for file in directory.iterdir()} if directory.is_dir() else {""}
    if names - {ROUTER_FOLDER, PLAN_FOLDER} or (plans.exists() and not plans.is_dir()):
        msg = "exists and holds something other than a fused choice: give an empty or new directory"
        raise RouterFileError(msg, file=directory)
    check_router(directory / ROUTER_FOLDER)
    for plan in plans.iterdir() if plans.exists() else ():
        check_plan(plan)


def _names(table: OutcomeTable, specs: Sequence[str]) -> list[str]:
    kinds = [spec.partition(":")[0] for spec in specs]
    names = [
        kind if kinds.count(kind) == 1 else f"{kind}-{kinds[: place + 1].count(kind)}"
        for place, kind in enumerate(kinds)
    ]
    taken = {*table.arm_names, *(arm.model for arm in table.arms)}.intersection(names)
    if taken:
        msg = f"an arm is called {min(taken)!r}, as a plan is: rename it, or leave it out"
        raise TableError(msg, field="llm")
    return names
