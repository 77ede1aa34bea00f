"""Decides who answers: the router's choice, the conversation's arm, what the client names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError, PolicyError
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.routing.ask import Routed
from fusionfactory.gateway.routing.batching import Unanswered
from fusionfactory.gateway.routing.capabilities import Capabilities
from fusionfactory.gateway.routing.case import Case
from fusionfactory.gateway.routing.choosing import Chooser
from fusionfactory.gateway.routing.defaults import default_order
from fusionfactory.gateway.routing.estimation import Question
from fusionfactory.gateway.routing.exploration import Exploration
from fusionfactory.gateway.routing.pacer import Pacer
from fusionfactory.gateway.routing.policies import AUTO, Policies
from fusionfactory.gateway.routing.served import Served, UnaffordableError
from fusionfactory.gateway.routing.sessions import Sessions
from fusionfactory.gateway.routing.shadows import Shadows
from fusionfactory.serve_settings import ExplorationSettings
from fusionfactory.thoughts.prompt import TOKEN_BUDGET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fusionfactory.gateway.fleet import Fleet, Target
    from fusionfactory.gateway.routing.ask import Ask
    from fusionfactory.gateway.routing.trade import Row
    from fusionfactory.policy import Policy
    from fusionfactory.routers import Router
    from fusionfactory.serve_settings import RoutingSettings

__all__ = ["ROUTER", "Routing"]

ROUTER = "(router)"
"""Stands among the excluded arms for the router itself, with the reason why it did not decide."""

_RESTING = "its endpoint does not answer at present"
_TOO_DEAR = "it is expected to cost more than the policy's ceiling, or its cost is unknown"
_SHOWN = 20


class Routing:
    """The decider: see `ask.Decider`. All of it runs on one event loop, but for estimates.

    Args:
        fleet: The arms.
        settings: Names of policies, and when a conversation changes its arm.
        exploration: How often something else than the best is chosen.
        shared: Folder of what the workers share; None for this process alone.
        worker: Number of this worker, from 0.
        workers: How many there are.
        healthy: Whether an arm's endpoint answers at present; asked for every arm of a request.
        plans: Name of a plan that a router may choose to its arms.
        notes_tokens: What the notes of a strategy with a bank may take.
        seed: Of exploration.

    Raises:
        ConfigError: A setting names no policy or no arm, a model is called `auto`, or the shared
            files cannot be made.
    """

    def __init__(
        self,
        fleet: Fleet,
        settings: RoutingSettings,
        *,
        exploration: ExplorationSettings | None = None,
        shared: Path | None = None,
        worker: int = 0,
        workers: int = 1,
        healthy: Callable[[Target], bool] | None = None,
        plans: Mapping[str, Sequence[str]] | None = None,
        notes_tokens: int = TOKEN_BUDGET,
        seed: int | None = None,
    ) -> None:
        taken = next((n for n in fleet.models if n.partition(":")[0] == AUTO), None)
        if taken is not None:
            msg = f"a model is called {taken!r}, by which clients ask to be routed: rename it"
            raise ConfigError(msg, field="models.name")
        exploration = exploration or ExplorationSettings()
        self.policies = Policies(settings)
        self._fleet, self._settings, self._healthy = fleet, settings, healthy
        self._plans = plans or {}
        self._capabilities = Capabilities(fleet, notes_tokens)
        self._names = self._capabilities.names
        self._order = default_order(fleet, self._names, settings.default_arm)
        self._sessions = Sessions(
            shared and shared / "sessions", settings.session_ttl_s, self._names
        )
        self._pacer = Pacer(
            exploration.usd_per_day, shared and shared / "pacer", worker=worker, workers=workers
        )
        self._chooser = Chooser(Exploration(exploration, self._pacer, seed), settings.switch_cost)
        self._served: Served | None = None
        self._shadows = Shadows()

    # Versions

    @property
    def version(self) -> str | None:
        """Version of the router that decides; None without one."""
        return None if self._served is None else self._served.version

    def use(self, version: str | None, router: Router | None) -> None:
        """From now on this router decides; None for the default arm always.

        Raises:
            ConfigError: It knows no arm of the fleet.
        """
        old, self._served = self._served, self._made(version, router)
        if old is not None:
            old.close()

    def shadow(self, version: str, router: Router | None) -> None:
        """From now on this router's choice is recorded beside the one that counts; None ends that.

        Raises:
            ConfigError: It knows no arm of the fleet.
        """
        self._shadows.put(version, self._made(version, router))

    @property
    def shadows(self) -> tuple[str, ...]:
        """Versions of the shadow routers."""
        return self._shadows.versions

    def _made(self, version: str | None, router: Router | None) -> Served | None:
        if version is None or router is None:
            return None
        patience_s = self._settings.decide_within_s
        made = Served(version, router, self._names, plans=self._plans.keys(), patience_s=patience_s)
        if not made.names:
            known = ", ".join(arm.name for arm in router.arms_)
            msg = f"the router {version} knows {known}, none of which the settings have"
            raise ConfigError(msg, field="models")
        return made

    def close(self) -> None:
        """Ends the threads and lets go of the shared files."""
        self.use(None, None)
        self._shadows.close()
        self._sessions.close()
        self._pacer.close()

    # Deciding

    async def decide(self, ask: Ask) -> Routed:
        """The arms to try: see `Decider.decide`.

        `shadow` of what is returned gets the choices of slow shadow routers later: keep the object.
        """
        policy = self.policies.of(ask)
        if policy is None:
            return self._named(ask)
        case, served = self._case(ask, policy), self._served
        shadow = self._shadows.choose(case)
        if served is None:
            return self._default(case, None, "there is no router yet", shadow)
        row = served.estimation.kept(case.question)
        if row is None:
            try:
                within_s = self._settings.decide_within_s
                row = await served.estimation.row(case.question, within_s)
            except Unanswered as error:
                return self._default(case, None, str(error), shadow)
        try:
            return self._routed(case, served, row, shadow)
        except PolicyError as error:
            if isinstance(error, UnaffordableError) and policy not in self.policies.configured:
                raise Refusal(400, error.message, code="invalid_policy") from None
            return self._default(case, row, error.message, shadow)

    async def task(self, text: str) -> str | None:
        """The task that the router takes a text to be of; None where it cannot tell."""
        served = self._served
        if served is None:
            return None
        within_s = self._settings.decide_within_s
        try:
            return (await served.estimation.row(Question.of(text), within_s)).task
        except Unanswered:
            return None

    def answered(self, session: str | None, arm: str) -> None:
        """The conversation has the arm that answered it, even where another one was chosen."""
        if session is not None and arm in self._names:
            self._sessions.put(session, arm)

    def _named(self, ask: Ask) -> Routed:
        """What the client names: an arm, or a model by its plain prompt or its first strategy."""
        fleet, name = self._fleet, ask.model
        target = fleet.targets.get(name)
        if target is None and name in fleet.models:
            target = next((t for t in fleet.targets.values() if t.model.name == name), None)
        if target is None:
            there = (*fleet.models, *self._plans)
            allowed = [n for n in there if ask.allowed is None or n in ask.allowed]
            more = ", ..." if len(allowed) > _SHOWN else ""
            known = ", ".join((AUTO, *allowed[:_SHOWN]))
            message = f"there is no model {name!r:.200}; there are {known}{more}"
            raise Refusal(404, message, code="model_not_found", param="model")
        if ask.allowed is not None and target.model.name not in ask.allowed:
            message = f"the key does not allow the model {target.model.name!r}"
            raise Refusal(403, message, code="model_not_allowed", param="model")
        return Routed((target.name,), "fixed")

    def _case(self, ask: Ask, policy: Policy) -> Case:
        excluded, resting = self._capabilities.excluded(ask), frozenset[str]()
        if self._healthy is not None:
            fleet, healthy = self._fleet, self._healthy
            able = [name for name in self._names if name not in excluded]
            resting = frozenset(name for name in able if not healthy(fleet[name]))
            if len(resting) == len(able):
                resting = frozenset()
            if resting:
                excluded |= dict.fromkeys(resting, _RESTING)
        if self._plans:
            excluded |= self._barred(ask, excluded)
        own = None if ask.session is None else self._sessions.get(ask.session)
        if own in excluded:
            own = None
        return Case(ask, policy, Question.of(ask.text), excluded, resting, own)

    def _barred(self, ask: Ask, excluded: Mapping[str, str]) -> dict[str, str]:
        """Plan to the reason why it cannot be chosen, of those that a router knows."""
        known = self._shadows.plans | (self._served.plans if self._served else frozenset())
        found: dict[str, str] = {}
        for name in known:
            arm = next((arm for arm in self._plans[name] if arm in excluded), None)
            if name in ask.barred:
                found[name] = ask.barred[name]
            elif arm is not None:
                found[name] = f"of its arm {arm}: {excluded[arm]}"
        return found

    def _routed(self, case: Case, served: Served, row: Row, shadow: dict[str, str]) -> Routed:
        columns = case.columns(served)
        choice = self._chooser.choose(served, row, case.policy, columns, case.own)
        excluded = case.excluded | dict.fromkeys(choice.ruled_out, _TOO_DEAR)
        strangers: Sequence[str] = ()
        if len(served.names) - len(served.plans) < len(self._order):
            strangers = [n for n in self._order if n not in served.names and n not in excluded]
            if case.policy.max_cost_usd is not None:
                excluded |= dict.fromkeys(strangers, _TOO_DEAR)
                strangers = ()
        chosen, *others = choice.arms
        is_plan = chosen in served.plans
        if case.ask.session is not None and not is_plan:
            self._sessions.put(case.ask.session, chosen)
        if served.plans:
            others = [name for name in others if name not in served.plans]
        return Routed(
            arms=(chosen, *others, *strangers, *self._last(case)),
            why=choice.why,
            policy=case.policy.name,
            router=served.version,
            propensity=choice.propensities[chosen],
            propensities=choice.propensities,
            estimates=row.told,
            excluded=excluded,
            shadow=shadow,
            plan=chosen if is_plan else None,
        )

    def _default(self, case: Case, row: Row | None, reason: str, shadow: dict[str, str]) -> Routed:
        """The conversation's arm, else the default one, then the others."""
        able = [name for name in self._order if name not in case.excluded and name != case.own]
        arms = able if case.own is None else [case.own, *able]
        if case.ask.session is not None:
            self._sessions.put(case.ask.session, arms[0])
        return Routed(
            arms=(*arms, *self._last(case)),
            why="default" if case.own is None else "session",
            policy=case.policy.name,
            estimates={} if row is None else row.told,
            excluded=case.excluded | {ROUTER: reason},
            shadow=shadow,
        )

    def _last(self, case: Case) -> Sequence[str]:
        """Arms whose endpoints do not answer at present: better than none."""
        return [name for name in self._order if name in case.resting] if case.resting else ()
