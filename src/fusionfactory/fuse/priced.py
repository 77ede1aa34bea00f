"""Plans that one fit prepares for every price of quality: run by a policy, or along their curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from fusionfactory.metrics import mean_cost, mean_or_nan
from fusionfactory.plans import Plan, replay

if TYPE_CHECKING:
    from fusionfactory.answers import AnswerGroups
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray

__all__ = ["Priced", "curve", "too_dear", "under"]


@runtime_checkable
class Priced(Protocol):
    """A plan with prices to run at, and what it spends at each on the training queries."""

    price_: FloatArray
    spend_usd_: FloatArray

    def under(self, policy: Policy) -> Plan:
        """The same plan run by another policy."""

    def at(self, step: int) -> Plan:
        """The same plan run at one of its prices."""


def under(plan: Plan, policy: Policy) -> Plan:
    """The plan run by a policy, at its cheapest where the budget is too small for any price.

    A plan that knows no price runs as it is.
    """
    if not isinstance(plan, Priced):
        return plan
    if policy.budget_usd is not None and not (plan.spend_usd_ <= policy.budget_usd).any():
        return plan.at(int(plan.spend_usd_.argmin()))
    return plan.under(policy)


def too_dear(plan: Plan, policy: Policy, spent: FloatArray) -> bool:
    """Whether the plan can do nothing about spending more than the policy's budget.

    Args:
        plan: Fitted.
        policy: To run it by.
        spent: (n,) USD that it spent under the policy, for a plan that knows no price.
    """
    least = plan.spend_usd_.min() if isinstance(plan, Priced) else mean_cost(spent)
    return policy.budget_usd is not None and bool(least > policy.budget_usd)


def curve(plan: Plan, table: OutcomeTable, answers: AnswerGroups) -> FloatArray:
    """(s, 2) mean cost in USD and mean quality on recorded outcomes, from quality to cost alone.

    Args:
        plan: Fitted; one that knows no price has one point.
        table: With at least the plan's arms.
        answers: The groups of the table's answers.
    """
    runs = (
        [plan.at(step) for step in range(len(plan.price_))] if isinstance(plan, Priced) else [plan]
    )
    points = []
    for run in runs:
        done = replay(run, table, answers)
        points.append((mean_cost(done.cost_usd), mean_or_nan(done.quality)))
    return np.unique(np.array(points), axis=0)
