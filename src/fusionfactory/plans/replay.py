"""Running a plan: one loop, offline on recorded outcomes or online on whatever answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.answers import AnswerGroups
    from fusionfactory.plans.base import Plan
    from fusionfactory.plans.state import Advice, Said, State
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Recorded", "Replayed", "execute", "replay"]


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What a plan did on n recorded queries; m arms are those of the plan.

    Attributes:
        answered: (n,) column of the arm whose answer was given.
        called: (n, m).
        quality: (n,) of that answer; NaN where it is not recorded.
        cost_usd: (n,) of all calls; NaN where the cost of one is not recorded. A mean is that of
            the known ones: `metrics.mean_cost`.
        confidence: (n,) that the plan had in the answer.
    """

    answered: IntArray
    called: BoolArray
    quality: FloatArray
    cost_usd: FloatArray
    confidence: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """What a plan's arms said to recorded queries, read once for all its prices.

    Attributes:
        state: Before any arm was asked.
        said: By the plan's m arms.
        table: n queries by the plan's arms.
    """

    state: State
    said: Said
    table: OutcomeTable

    @classmethod
    def of(cls, plan: Plan, table: OutcomeTable, answers: AnswerGroups | None = None) -> Recorded:
        """See `replay`."""
        state = plan.begin(table.texts)
        own, answers = plan.own(table, answers)
        return cls(state, plan.hear(state, answers), own)

    def run(self, plan: Plan) -> Replayed:
        """What the plan does on them, at one of its prices."""
        state, advice = execute(plan, self.state, lambda _: self.said)
        paid = np.where(state.asked, self.table.cost_usd, 0.0).sum(axis=1)
        quality = self.table.quality[np.arange(len(self.table)), advice.answer]
        return Replayed(advice.answer, state.asked, quality, paid, advice.confidence)


def execute(plan: Plan, state: State, ask: Callable[[BoolArray], Said]) -> tuple[State, Advice]:
    """Runs a plan to its end.

    Args:
        plan: Fitted.
        state: Of `plan.begin`.
        ask: Asks the arms of an (n, m) array and returns what they said, answer groups numbered as
            those before.

    Returns:
        The last state, and the advice that calls nobody.
    """
    advice = plan.advise(state)
    while advice.call.any():
        state = state.told(advice.call, ask(advice.call))
        advice = plan.advise(state)
    return state, advice


def replay(plan: Plan, table: OutcomeTable, answers: AnswerGroups | None = None) -> Replayed:
    """Runs a plan on recorded outcomes.

    Args:
        plan: Fitted.
        table: With at least the plan's arms.
        answers: The groups of the table's answers, where they are known already.

    Raises:
        NotFittedError: The plan is not fitted.
        TableError: The table lacks an arm of the plan, or holds no responses.
    """
    return Recorded.of(plan, table, answers).run(plan)
