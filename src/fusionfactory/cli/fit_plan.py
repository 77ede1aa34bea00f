"""`fusionfactory fit --plan`: a plan, measured beside the best single arm of its training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.plans import Plan
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable

__all__ = ["fit_and_save_plan", "unfitted_plan"]


def unfitted_plan(spec: str, out: Path, **params: Any) -> Plan:  # noqa: ANN401  any parameter
    """An unfitted plan that may be written to a directory.

    Raises:
        RouterFileError: Something other than a plan lies there.
        UnknownNameError: There is no such plan, or it has no such parameter.
    """
    from fusionfactory.plans import make_plan
    from fusionfactory.plans.files import check_directory

    check_directory(out)
    return make_plan(spec, **params)


def fit_and_save_plan(
    plan: Plan,
    train: OutcomeTable,
    test: OutcomeTable | None,
    policy: Policy | None,
    out: Path,
) -> None:
    """Fits a plan, measures what it does on held-out queries, and saves it.

    Args:
        plan: Not fitted.
        train: Outcomes with responses.
        test: Others; None measures nothing.
        policy: The trade-off to run by; quality first by default.
        out: Directory to write.

    Raises:
        TableError: The outcomes hold no responses, or there are too few.
        PolicyError: The budget is below what the plan spends at least.
    """
    from fusionfactory.plans import replay, save_plan

    plan.fit(train, policy)
    if test is not None:
        from fusionfactory.metrics import mean_cost, mean_or_nan

        done, single = replay(plan, test), train.best_single()
        measured = {
            "quality": mean_or_nan(done.quality),
            "cost_usd": mean_cost(done.cost_usd),
            "calls": float(done.called.sum(axis=1).mean()),
            "best_single_quality": mean_or_nan(test.quality[:, single]),
            "best_single_cost_usd": mean_cost(test.cost_usd[:, single]),
        }
        plan.metrics_ |= {key: value for key, value in measured.items() if not math.isnan(value)}
    save_plan(plan, out)
