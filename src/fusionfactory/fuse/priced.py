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
    from fusionfactory.types import BoolArray, FloatArray

__all__ = ["Priced", "curve", "paid", "under"]


@runtime_checkable
class Priced(Protocol):
    """A plan with prices to run at."""

    price_: FloatArray

    def under(self, policy: Policy) -> Plan:
        """The same plan run by another policy."""

    def at(self, step: int) -> Plan:
        """The same plan run at one of its prices."""


def under(plan: Plan, policy: Policy) -> Plan:
    """The plan run by a policy; one that knows no price runs as it is."""
    return plan.under(policy) if isinstance(plan, Priced) else plan


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
        points.append((mean_cost(paid(run, table, done.called)), mean_or_nan(done.quality)))
    return np.unique(np.array(points), axis=0)


def paid(plan: Plan, table: OutcomeTable, called: BoolArray) -> FloatArray:
    """(n,) USD of all calls of every query; NaN where the cost of one is unknown."""
    columns = [table.arm_names.index(arm.name) for arm in plan.arms_]
    return np.asarray(np.where(called, table.cost_usd[:, columns], 0.0).sum(axis=1))
