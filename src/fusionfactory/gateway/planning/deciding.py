"""Who answers a request: a plan at its beginning, or arms."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from fusionfactory.gateway.log.record import Ran
from fusionfactory.gateway.planning.run import PlanRun
from fusionfactory.gateway.routing.ask import Routed
from fusionfactory.gateway.routing.batching import Unanswered
from fusionfactory.plans.online import Run

if TYPE_CHECKING:
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.fleet import Fleet
    from fusionfactory.gateway.gateway import Gateway
    from fusionfactory.gateway.planning.plans import Planned
    from fusionfactory.gateway.routing.ask import Ask
    from fusionfactory.gateway.surface.form import Request

__all__ = ["decide"]


async def decide(
    gateway: Gateway, request: Request, client: Client
) -> tuple[Routed, PlanRun | None]:
    """The decision; and, where it is for a plan, that plan at its beginning.

    A plan that cannot be run is among the excluded arms, with the reason. In its stead its best
    single arm answers a client who named it, and the router's choice one who asked for `auto`.

    Args:
        gateway: Its parts.
        request: What is asked.
        client: Who asks.

    Raises:
        Refusal: As `Decider.decide` and `Plans.of`, or the request names a metric or a task that
            there is not (400).
    """
    planned = gateway.plans.of(request, client)
    if planned is None:
        return request.routed or await gateway.decider.decide(request.ask), None
    within_s = gateway.settings.routing.decide_within_s
    begun = await _begin(planned, request.ask, within_s)
    name = planned.served.name
    if isinstance(begun, PlanRun):
        return Routed((name,), planned.why, planned.policy, plan=name), begun
    routed = (
        await gateway.decider.decide(request.ask)
        if planned.why == "plan"
        else _instead(planned, gateway.fleet, request.ask.needs)
    )
    return replace(routed, plan=name, excluded={**routed.excluded, name: begun}), None


async def _begin(planned: Planned, ask: Ask, within_s: float) -> PlanRun | str:
    """The plan at its beginning; or why it cannot be run."""
    if planned.obstacle is not None:
        return planned.obstacle
    served, plan = planned.served, planned.plan
    try:
        state = await served.begin(ask.text, within_s)
    except Unanswered as error:
        return f"the plan cannot begin: {error}"
    metric, equivalence = served.equivalence(ask, state)
    if equivalence is None:
        return f"answers by the metric {metric or 'none'} cannot be compared"
    run = await asyncio.to_thread(Run, plan, state, question=ask.text, equivalence=equivalence)
    return PlanRun(served, run, Ran(served.name, metric))


def _instead(planned: Planned, fleet: Fleet, needs: frozenset[str]) -> Routed:
    """The plan's best single arm that can meet the needs, then the others."""
    able = [name for name in planned.served.arms if fleet[name].lacks(needs) is None]
    return Routed(tuple(able) or planned.served.arms, planned.why, planned.policy)
