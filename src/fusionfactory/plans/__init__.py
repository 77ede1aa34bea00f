"""Plans: arms that ask other arms, in an order and until a rule says stop."""

from __future__ import annotations

from typing import Any

from fusionfactory.estimator import LOADERS
from fusionfactory.plans.base import Plan
from fusionfactory.plans.files import load_plan, save_plan
from fusionfactory.plans.replay import Replayed, execute, replay
from fusionfactory.plans.state import Advice, State
from fusionfactory.registry import Registry

__all__ = [
    "PLANS",
    "Advice",
    "Plan",
    "Replayed",
    "State",
    "execute",
    "load_plan",
    "make_plan",
    "replay",
    "save_plan",
]

PLANS = Registry(
    "plan",
    {
        "cascade": "fusionfactory.plans.cascade:CascadePlan",
        "select": "fusionfactory.plans.select:SelectPlan",
        "vote": "fusionfactory.plans.vote:VotePlan",
    },
)
LOADERS["plan"] = PLANS.load


def make_plan(spec: str, **params: Any) -> Plan:  # noqa: ANN401  any constructor parameter
    """Builds an unfitted plan.

    Args:
        spec: `vote`, `vote:most=5`, `cascade:stages=[["a","b"],["c"]]`.
        params: Defaults for the parameters that the plan has and the spec does not set.

    Raises:
        UnknownNameError: No such plan, or it has no such parameter.
        ConfigError: A parameter that is a number is given something else.
    """
    plan: Plan = PLANS.make(spec, **params)
    return plan
