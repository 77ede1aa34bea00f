"""The plans of the settings: which of them, if any, a request runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError, PolicyError
from fusionfactory.gateway.planning.served import ServedPlan, plan_stamp
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.routing.policies import AUTO, Policies

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from fusionfactory.config import Config
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.fleet import Fleet
    from fusionfactory.gateway.log.record import Why
    from fusionfactory.gateway.surface.form import Request
    from fusionfactory.plans import Plan
    from fusionfactory.serve_settings import PlanSettings, RoutingSettings

__all__ = ["Planned", "Plans"]

_FIELD = "serve.plans"
_ONE_ANSWER = ("tools", "images", "json", "n")
"""What a request may need of an answer that then cannot be compared with another one."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A request that is to run a plan.

    Attributes:
        served: The plan.
        plan: It, by the request's trade-off.
        why: Why it is this one.
        policy: Name of the trade-off; None for the one that it was saved with.
        obstacle: Why answers to this request cannot be compared; None where they may be.
    """

    served: ServedPlan
    plan: Plan
    why: Why
    policy: str | None
    obstacle: str | None


class Plans:
    """The plans that are served.

    Args:
        served: They.
        settings: Which one `auto` runs, and what policies' names stand for.

    Raises:
        ConfigError: `auto` is to run a plan that there is not, or by a budget that it cannot keep.
    """

    def __init__(self, served: Iterable[ServedPlan], settings: RoutingSettings) -> None:
        self._served = {plan.name: plan for plan in served}
        self._policies = Policies(settings)
        self._auto = None
        if settings.plan is not None:
            self._auto = self._served.get(settings.plan)
            if self._auto is None:
                has = ", ".join(self._served) or "none"
                msg = f"there is no plan {settings.plan!r} under [[serve.plans]]; there are: {has}"
                raise ConfigError(msg, field="serve.routing.plan")
            self._check_policies(self._auto)

    @classmethod
    def load(cls, config: Config, fleet: Fleet, before: Plans | None = None) -> Plans:
        """Reads the plans of the settings.

        Args:
            config: The settings.
            fleet: The arms.
            before: Plans that are in force; those whose files are as they were are shared.

        Raises:
            ConfigError: A name is taken, or a plan asks an arm that there is not.
            RouterFileError: A plan is missing or damaged.
            MissingExtraError: Its answers are compared by a package that is not installed.
        """
        settings = config.serve
        names = [plan.name for plan in settings.plans]
        for name in names:
            _check_name(name, names, fleet)
        patience_s = settings.routing.decide_within_s
        served = [
            (before and before.kept(plan, fleet, patience_s))
            or ServedPlan.load(plan, fleet, patience_s=patience_s)
            for plan in settings.plans
        ]
        return cls(served, settings.routing)

    def __iter__(self) -> Iterator[ServedPlan]:
        return iter(self._served.values())

    def __getitem__(self, name: str) -> ServedPlan:
        return self._served[name]

    @property
    def arms(self) -> dict[str, tuple[str, ...]]:
        """Name of a plan to its arms."""
        return {name: served.arms for name, served in self._served.items()}

    def barred(self, request: Request) -> dict[str, str]:
        """Plan to the reason why a router may not choose it for a request."""
        obstacle = _obstacle(request) if self._served else None
        return dict.fromkeys(self._served, obstacle) if obstacle else {}

    def kept(self, settings: PlanSettings, fleet: Fleet, patience_s: float) -> ServedPlan | None:
        """The plan of that name, if files and settings are as they were."""
        found = self._served.get(settings.name)
        if found is None or found.stamp != plan_stamp(settings, patience_s):
            return None
        found.check(fleet)
        return found

    def of(self, request: Request, client: Client) -> Planned | None:
        """What a request runs; None where it runs no plan.

        Raises:
            Refusal: The client may not run it (403), or its budget is below what the plan spends
                (400).
        """
        ask = request.ask
        if not self._served or request.routed is not None:
            return None
        policy = self._policies.of(ask)
        is_named = policy is None
        served = self._served.get(ask.model) if is_named else self._auto
        if served is None:
            return None
        if not served.allows(client):
            if not is_named:
                return None
            client.check(served.name)
        trade_off = ask.policy if is_named else policy
        try:
            plan = served.under(trade_off)
        except PolicyError as error:
            raise Refusal(400, error.message, code="invalid_policy") from None
        why: Why = "fixed" if is_named else "plan"
        return Planned(
            served, plan, why, None if trade_off is None else trade_off.name, _obstacle(request)
        )

    def close(self, living: Collection[Plans] = ()) -> None:
        """Ends the plans' threads, but for those that others use."""
        used = {id(served) for plans in living for served in plans}
        for served in self:
            if id(served) not in used:
                served.close()

    def _check_policies(self, served: ServedPlan) -> None:
        for policy in self._policies.configured:
            try:
                served.under(policy)
            except PolicyError as error:
                raise ConfigError(error.message, field="serve.routing.plan") from None


def _check_name(name: str, names: list[str], fleet: Fleet) -> None:
    taken = {*fleet.targets, *fleet.models, *fleet.embedders}
    if name in taken or name.partition(":")[0] == AUTO or "|" in name:
        wrong = "is that of a model, or one that no model may have"
    elif names.count(name) > 1:
        wrong = "stands twice"
    else:
        return
    msg = f"the plan's name {name!r} {wrong}: clients ask for it by its name, so give another one"
    raise ConfigError(msg, field=_FIELD)


def _obstacle(request: Request) -> str | None:
    ask = request.ask
    needed = [need for need in _ONE_ANSWER if need in ask.needs]
    if needed:
        return f"answers with {' and '.join(needed)} cannot be compared"
    if isinstance(request.body.get("prompt"), list):
        return "answers to several prompts cannot be compared"
    return None if ask.text else "there is no text by which to decide"
