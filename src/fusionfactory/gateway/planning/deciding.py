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
    from collections.abc import Mapping

    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.fleet import Fleet
    from fusionfactory.gateway.gateway import Gateway
    from fusionfactory.gateway.planning.plans import Planned
    from fusionfactory.gateway.planning.served import ServedPlan
    from fusionfactory.gateway.routing.ask import Ask
    from fusionfactory.gateway.surface.form import Request
    from fusionfactory.plans import Plan

__all__ = ["decide"]


async def decide(
    gateway: Gateway, request: Request, client: Client
) -> tuple[Routed, PlanRun | None]:
    """The decision; and, where it is for a plan, that plan at its beginning.

    A plan that cannot be run is among the excluded arms, with the reason. In its stead its best
    single arm answers a client who named it, and the router's choice one who asked for `auto`; that
    may be a plan, too.

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
        return await _chosen(gateway, request)
    within_s = gateway.settings.routing.decide_within_s
    name = planned.served.name
    begun = planned.obstacle or await _begin(planned.served, planned.plan, request.ask, within_s)
    if isinstance(begun, PlanRun):
        return Routed((name,), planned.why, planned.policy, plan=name), begun
    if planned.why == "plan":
        return await _chosen(gateway, request, {name: begun})
    routed = _instead(planned, gateway.fleet, request.ask.needs)
    return replace(routed, plan=name, excluded={**routed.excluded, name: begun}), None


async def _chosen(
    gateway: Gateway, request: Request, passed_over: Mapping[str, str] | None = None
) -> tuple[Routed, PlanRun | None]:
    """What the router chooses: an arm, or a plan at its beginning.

    Args:
        gateway: Its parts.
        request: What is asked.
        passed_over: Plan to the reason why it was not run, the latest one last.
    """
    if request.routed is not None:
        return request.routed, None
    passed_over = dict(passed_over or {})
    barred, within_s = gateway.plans.barred(request), gateway.settings.routing.decide_within_s
    run = None
    while True:
        ask = request.ask
        if barred or passed_over:
            ask = replace(ask, barred=barred | passed_over)
        routed = await gateway.decider.decide(ask)
        if routed.plan is None:
            break
        served = gateway.plans[routed.plan]
        begun = await _begin(served, served.plan, ask, within_s)
        if isinstance(begun, PlanRun):
            run = begun
            break
        passed_over[routed.plan] = begun
    if not passed_over:
        return routed, run
    told = replace(routed, excluded={**routed.excluded, **passed_over})
    return (told if run else replace(told, plan=list(passed_over)[-1])), run


async def _begin(served: ServedPlan, plan: Plan, ask: Ask, within_s: float) -> PlanRun | str:
    """The plan at its beginning; or why it cannot be run."""
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
