"""Plans on one split: fitted on train, replayed on test, and out of fold on train."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.answers import group_answers, incomparable
from fusionfactory.errors import MissingExtraError, SandboxError
from fusionfactory.fuse.arena import NO_ARM, Answered, fold_numbers
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
_LONGEST_NAME = 30
"""Characters of a specification that still names a row."""


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
        readers = [spec for spec in specs if make_plan(spec).reads_free_text]
        if not specs:
            return cls((), folds, reason="none was asked for")
        if table.responses is None:
            return cls((), folds, reason=_NO_RESPONSES)
        try:
            answers = group_answers(table)
        except (MissingExtraError, SandboxError) as error:
            return cls((), folds, reason=str(error))
        if (answers.groups < 0).all():
            if not readers:
                return cls((), folds, reason=_NO_ANSWERS)
            left = [spec for spec in specs if spec not in readers]
            notes = [f"{_listed(left)} left out: {_NO_ANSWERS}"] if left else []
            return cls(tuple(readers), folds, answers, notes=notes)
        odd = incomparable(table) if len(readers) < len(specs) else {}
        notes = [_odd_words(odd, len(table), judged=bool(readers))] if odd else []
        return cls(tuple(specs), folds, answers, notes=notes)

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
        rows = np.setdiff1d(np.arange(len(self.answers.groups)), contest.test_rows)
        train, tested = self._only(rows), self.answers.rows(contest.test_rows)
        telling = not self.told
        for spec in self.specs:
            report(spec)
            start = time.perf_counter()
            plan = train.fit(spec, contest.train, contest.seed, encoder)
            fit_s = time.perf_counter() - start
            inside = train.inside(spec, contest.train, contest.seed, encoder, policies)
            points = curve(plan, contest.test, tested)
            name = f"{PLAN}{self._called(spec)}"
            for policy in policies:
                done = replay(under(plan, policy), contest.test, tested)
                answered = _answered(plan, contest.test, done)
                mine = Planned(name, inside[policy.name], answered, points, fit_s)
                found[policy.name].append(mine)
                if telling and too_dear(plan, policy, inside[policy.name].cost_usd):
                    self.notes.append(
                        f"Plan {name.removeprefix(PLAN)} spends more than {policy.name} allows, "
                        "though it runs as cheaply as it can"
                    )
                if telling and policy is policies[0]:
                    names = [arm.name for arm in plan.arms_]
                    words = plan_words(names, done)
                    if not name.endswith(spec):
                        words.append(f"Made by {spec}.")
                    self.told.append({"name": name, "words": words})
        return found

    def _called(self, spec: str) -> str:
        """What a row calls a plan: its specification, or the kind of the only one of its kind."""
        kinds = [other.partition(":")[0] for other in self.specs]
        kind = spec.partition(":")[0]
        return kind if len(spec) > _LONGEST_NAME and kinds.count(kind) == 1 else spec

    def fit(self, spec: str, table: OutcomeTable, seed: int, encoder: Encoder | str) -> Plan:
        """A plan, fitted on the whole table whose answers these are."""
        plan = make_plan(spec, encoder=encoder, seed=seed)
        return plan.fit(table, answers=self.answers)

    def inside(
        self,
        spec: str,
        table: OutcomeTable,
        seed: int,
        encoder: Encoder | str,
        policies: Sequence[Policy],
    ) -> dict[str, Answered]:
        """Policy name to what a plan does on the table, each part by a fit on the others."""
        number = fold_numbers(table, self.folds, seed)
        parts: dict[str, list[Answered]] = {policy.name: [] for policy in policies}
        order = []
        for fold in range(self.folds):
            held, used = (np.nonzero(mask)[0] for mask in (number == fold, number != fold))
            order.append(held)
            plan = self._only(used).fit(spec, table.rows(used), seed, encoder)
            part, answers = table.rows(held), self._only(held).answers
            for policy in policies:
                done = replay(under(plan, policy), part, answers)
                parts[policy.name].append(_answered(plan, part, done))
        back = np.argsort(np.concatenate(order))
        return {name: Answered.joined(some).rows(back) for name, some in parts.items()}

    def _only(self, rows: IntArray) -> Planning:
        """The same plans on some of the queries."""
        return replace(self, answers=self.answers and self.answers.rows(rows))


def _listed(specs: Sequence[str]) -> str:
    return f"{' and '.join(specs)} {'is' if len(specs) == 1 else 'are'}"


def _odd_words(odd: Mapping[str, int], queries: int, *, judged: bool) -> str:
    named = ", ".join(f"{metric or 'none'} {number}" for metric, number in odd.items())
    which = "plans without a judge" if judged else "plans"
    return (
        f"On {sum(odd.values())} of {queries} queries answers cannot be compared, for their metric "
        f"does not say how ({named}): {which} give the answer of the arm that they expect most of"
    )


def _answered(plan: Plan, table: OutcomeTable, done: Replayed) -> Answered:
    """In the table's columns; a judge that the table lacks is in none of them."""
    known = {name: column for column, name in enumerate(table.arm_names)}
    columns = np.array([known.get(arm.name, NO_ARM) for arm in plan.arms_])
    return Answered(done.quality, done.cost_usd, columns[done.answered])
