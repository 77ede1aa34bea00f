"""A saved plan as it is served: its arms are those of the settings, and no request waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.answers import make_equivalence
from fusionfactory.errors import ConfigError, UnknownNameError
from fusionfactory.gateway.refusal import Refusal
from fusionfactory.gateway.routing.batching import Batcher
from fusionfactory.plans.candidates import equivalence_of
from fusionfactory.plans.cascade import CascadePlan
from fusionfactory.plans.files import load_plan
from fusionfactory.plans.select import SelectPlan
from fusionfactory.types import JUDGE_ONLY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from fusionfactory.answers import Equivalence
    from fusionfactory.gateway.access.client import Client
    from fusionfactory.gateway.fleet import Fleet
    from fusionfactory.gateway.routing.ask import Ask
    from fusionfactory.plans import Plan, State
    from fusionfactory.policy import Policy
    from fusionfactory.serve_settings import PlanSettings

    Stamp: TypeAlias = tuple[float, ...]

__all__ = ["ServedPlan", "plan_stamp"]

_ANY = "Is this plan awake?"
"""Asked once, since the first question costs more than the others."""


class ServedPlan:
    """A plan under the name by which clients ask for it. Shared by all requests.

    Args:
        name: Its name.
        plan: Fitted.
        stamp: Of the files that it was read from.
        patience_s: See `Batcher`.

    Attributes:
        arms: Names of its arms, those of the highest training quality first.
    """

    def __init__(
        self, name: str, plan: Plan, *, stamp: Stamp = (), patience_s: float = 1.0
    ) -> None:
        self.name, self.plan, self.stamp = name, plan, stamp
        quality = np.nan_to_num(plan.quality_, nan=-np.inf)
        self.arms = tuple(plan.arms_[i].name for i in np.argsort(-quality, kind="stable"))
        self._models = frozenset(arm.model for arm in plan.arms_)
        self._batcher: Batcher[str, State] = Batcher(
            self._begin, name=f"plan-{name}", patience_s=patience_s
        )

    @classmethod
    def load(cls, settings: PlanSettings, fleet: Fleet, *, patience_s: float) -> ServedPlan:
        """Reads a plan, and wakes it.

        Raises:
            RouterFileError: It is missing or damaged.
            ConfigError: It asks an arm that the settings do not have.
            MissingExtraError: Its answers are compared by a package that is not installed.
        """
        stamp = plan_stamp(settings, patience_s)
        plan = load_plan(settings.path, network=settings.allow_endpoint)
        served = cls(settings.name, plan, stamp=stamp, patience_s=patience_s)
        served.check(fleet)
        plan.advise(plan.begin([_ANY]))
        for metric in plan.tasks_.metrics_:
            equivalence = _comparable(metric)
            if equivalence is not None:
                equivalence.read(_ANY, _ANY)
        return served

    def check(self, fleet: Fleet) -> None:
        """Checks that all of its arms can be asked.

        Raises:
            ConfigError: One cannot.
        """
        missing = next((name for name in self.arms if name not in fleet), None)
        if missing is not None:
            msg = (
                f"the plan {self.name!r} asks the arm {missing!r}, which the settings do not have: "
                f"add its model or strategy, or fit the plan on those there are: "
                f"{', '.join(fleet.targets)}"
            )
            raise ConfigError(msg, field="serve.plans")

    def allows(self, client: Client) -> bool:
        """Whether a client may run it: its key has the plan's name, or the models of all arms."""
        return client.may_use(self.name) or all(map(client.may_use, self._models))

    def under(self, policy: Policy | None) -> Plan:
        """The plan by another trade-off; as it was saved, where it knows no price.

        Raises:
            PolicyError: The budget is below what it spends at least.
        """
        if policy is None or not isinstance(self.plan, CascadePlan):
            return self.plan
        return self.plan.under(policy)

    async def begin(self, text: str, within_s: float) -> State:
        """The state of a question before any arm was asked.

        Raises:
            Unanswered: It took too long, or failed.
        """
        return await self._batcher.ask(text, within_s)

    def equivalence(self, ask: Ask, state: State) -> tuple[str | None, Equivalence | None]:
        """The metric that a question's answers are compared by, and what compares them.

        It is what the request says, else that of the training task that the text is most like;
        None without either, or where its answers cannot be compared, unless a judge reads them.

        Raises:
            Refusal: The request names a metric or a task that there is not (400).
        """
        try:
            if ask.metric is not None:
                return ask.metric, make_equivalence(ask.metric)
            tasks = self.plan.tasks_
            told = None if ask.task is None else tasks.metric(ask.task)
        except UnknownNameError as error:
            param = "task" if ask.metric is None else "metric"
            raise Refusal(400, error.message, code=f"invalid_{param}", param=param) from None
        metric = told if ask.task is not None else tasks.nearest(state.outlook.topics[0])
        if isinstance(self.plan, SelectPlan):
            return metric, equivalence_of(metric)
        return metric, _comparable(metric)

    def close(self) -> None:
        """Ends its thread after what it has been asked already."""
        self._batcher.close()

    def _begin(self, texts: Sequence[str]) -> list[State]:
        states = self.plan.begin(list(texts))
        return [states.rows(np.array([row])) for row in range(len(texts))]


def plan_stamp(settings: PlanSettings, patience_s: float) -> Stamp:
    """Of a plan's files and settings; another one means that it has to be read anew."""
    found = [file.stat() for file in sorted(settings.path.glob("plan.*"))]
    files = (number for stat in found for number in (stat.st_mtime_ns, stat.st_size))
    return settings.allow_endpoint, patience_s, *files


def _comparable(metric: str | None) -> Equivalence | None:
    if metric is None or metric == JUDGE_ONLY:
        return None
    try:
        return make_equivalence(metric)
    except UnknownNameError:
        return None
