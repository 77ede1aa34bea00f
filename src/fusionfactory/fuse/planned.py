"""Plans on one split: fitted on train, replayed on test, and out of fold on train."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.answers import group_answers, incomparable
from fusionfactory.errors import MissingExtraError, SandboxError
from fusionfactory.fuse.arena import Answered, fold_numbers
from fusionfactory.fuse.levels import PLAN
from fusionfactory.fuse.priced import curve, too_dear, under
from fusionfactory.fuse.telling import plan_words
from fusionfactory.plans import make_plan, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fusionfactory.answers import AnswerGroups
    from fusionfactory.contest import Contest
    from fusionfactory.encoders import Encoder
    from fusionfactory.plans import Plan, Replayed
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["PLANS", "Planned", "Planning"]

PLANS = ("cascade", "vote")
"""What is compared by default."""

_NO_RESPONSES = (
    "the table has no responses, so whether arms agree is not known; collect them, or import a log "
    "that holds them"
)
_NO_ANSWERS = "no answer could be read from the responses: no query has a metric that says how"


@dataclass(frozen=True)
class Planned:
    """What a plan did under one policy.

    Attributes:
        name: Of its column and row.
        train: Out of fold: every part by a plan that was fitted on the others.
        test: By the plan that was fitted on the whole train side.
        points: (s, 2) mean cost and quality on test over prices of quality.
        fit_s: Seconds of the fit on the whole train side.
    """

    name: str
    train: Answered
    test: Answered
    points: FloatArray
    fit_s: float


@dataclass
class Planning:
    """The plans to compare, and what is told of them.

    Attributes:
        specs: Of the plans; empty where they are left out.
        folds: Parts of the train side.
        answers: Of the whole table.
        reason: Why plans are left out; None where they are not.
        told: Per plan its name and how it goes on, of the first split under the first policy.
        notes: What limits the plans, a sentence each.
    """

    specs: tuple[str, ...]
    folds: int
    answers: AnswerGroups | None = None
    reason: str | None = None
    told: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, table: OutcomeTable, specs: Sequence[str], folds: int) -> Planning:
        """None for a table whose answers cannot be compared.

        Raises:
            UnknownNameError: There is no plan of that name.
        """
        for spec in specs:
            make_plan(spec)
        if not specs:
            return cls((), folds, reason="none was asked for")
        if table.responses is None:
            return cls((), folds, reason=_NO_RESPONSES)
        try:
            answers = group_answers(table)
        except (MissingExtraError, SandboxError) as error:
            return cls((), folds, reason=str(error))
        if (answers.groups < 0).all():
            return cls((), folds, reason=_NO_ANSWERS)
        odd = incomparable(table)
        return cls(tuple(specs), folds, answers, notes=[_odd_words(odd, len(table))] if odd else [])

    def among(self, columns: Sequence[int]) -> Planning:
        """The same plans between some of the table's arms, with nothing told yet."""
        answers = self.answers and self.answers.columns(columns)
        return Planning(self.specs, self.folds, answers, self.reason, notes=list(self.notes))

    def __len__(self) -> int:
        return len(self.specs)

    def run(
        self,
        contest: Contest,
        policies: Sequence[Policy],
        encoder: Encoder | str,
        report: Callable[[str], None],
    ) -> dict[str, list[Planned]]:
        """Policy name to what each plan did on a split.

        Args:
            contest: The split.
            policies: To run the plans by; one fit serves all of them.
            encoder: For the plans.
            report: Called with the name of each plan before its fits.
        """
        found: dict[str, list[Planned]] = {policy.name: [] for policy in policies}
        if self.answers is None:
            return found
        number = fold_numbers(contest.train, self.folds, contest.seed)
        rows = np.setdiff1d(np.arange(len(self.answers.groups)), contest.test_rows)
        trained, tested = self.answers.rows(rows), self.answers.rows(contest.test_rows)
        telling = not self.told
        for spec in self.specs:
            report(spec)
            start = time.perf_counter()
            plan = self._fit(spec, contest, encoder, contest.train, trained)
            fit_s = time.perf_counter() - start
            inside = self._inside(spec, contest, encoder, trained, number, policies)
            points = curve(plan, contest.test, tested)
            name = f"{PLAN}{spec}"
            for policy in policies:
                done = replay(under(plan, policy), contest.test, tested)
                answered = _answered(plan, contest.test, done)
                mine = Planned(name, inside[policy.name], answered, points, fit_s)
                found[policy.name].append(mine)
                if telling and too_dear(plan, policy, inside[policy.name].cost_usd):
                    self.notes.append(
                        f"Plan {spec} spends more than {policy.name} allows, though it runs as "
                        "cheaply as it can"
                    )
                if telling and policy is policies[0]:
                    names = [arm.name for arm in plan.arms_]
                    self.told.append({"name": name, "words": plan_words(names, done)})
        return found

    def _fit(
        self,
        spec: str,
        contest: Contest,
        encoder: Encoder | str,
        table: OutcomeTable,
        answers: AnswerGroups,
    ) -> Plan:
        plan = make_plan(spec, encoder=encoder, seed=contest.seed)
        return plan.fit(table, answers=answers)

    def _inside(
        self,
        spec: str,
        contest: Contest,
        encoder: Encoder | str,
        answers: AnswerGroups,
        number: IntArray,
        policies: Sequence[Policy],
    ) -> dict[str, Answered]:
        """Policy name to what the plan did on train, each part by a fit on the others."""
        train = contest.train
        parts: dict[str, list[Answered]] = {policy.name: [] for policy in policies}
        order = []
        for fold in range(self.folds):
            held = np.nonzero(number == fold)[0]
            used = np.nonzero(number != fold)[0]
            order.append(held)
            plan = self._fit(spec, contest, encoder, train.rows(used), answers.rows(used))
            for policy in policies:
                part = train.rows(held)
                done = replay(under(plan, policy), part, answers.rows(held))
                parts[policy.name].append(_answered(plan, part, done))
        back = np.argsort(np.concatenate(order))
        return {name: Answered.joined(some).rows(back) for name, some in parts.items()}


def _odd_words(odd: Mapping[str, int], queries: int) -> str:
    named = ", ".join(f"{metric or 'none'} {number}" for metric, number in odd.items())
    return (
        f"On {sum(odd.values())} of {queries} queries answers cannot be compared, for their metric "
        f"does not say how ({named}): plans give the answer of the arm that they expect most of"
    )


def _answered(plan: Plan, table: OutcomeTable, done: Replayed) -> Answered:
    """In the table's columns."""
    columns = np.array([table.arm_names.index(arm.name) for arm in plan.arms_])
    return Answered(done.quality, done.cost_usd, columns[done.answered])
