"""Judge-select: a judge picks among the answers of some arms, where they do not agree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.answers import AnswerGroups, group_answers
from fusionfactory.errors import ConfigError, TableError
from fusionfactory.metrics import mean_or_nan
from fusionfactory.plans.base import Plan
from fusionfactory.plans.candidates import candidate_names, texts, with_free_text
from fusionfactory.plans.competence import Outlook
from fusionfactory.plans.confidence import Confidence
from fusionfactory.plans.judged import Judged, read_judge, surely_gains_below
from fusionfactory.plans.lineup import Lineup
from fusionfactory.plans.state import Advice, Said, State
from fusionfactory.plans.verdicts import Verdict, read_verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.encoders import Encoder
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["SelectPlan"]

_FEWEST_VERDICTS = 20
_COLLECT = "collect them with `fusionfactory pick`, and name their store as `log`"


class SelectPlan(Plan):
    """All candidates are asked; where they disagree, a judge picks one of their answers if it pays.

    The judge's pick is one more vote: how much it counts against who gave the answers is learned
    from its verdicts on the training queries, and so is how sure the plan must be without it. Each
    verdict is asked for in two orders and counts where both agree. It works for free text too,
    where answers agree only if they are the same text.

    The judge's column comes last. Its verdicts are collected before `fit`: see `verdicts`.

    Args:
        encoder: See `Competence`.
        folds: Of the cross-fitting.
        seed: Of everything random in `fit`.
        judge: Name of the arm that picks; none of the candidates.
        log: The store that holds its verdicts, a path or a URL; for `fit` and `replay` only.
        candidates: Names of the arms that answer, at least two; chosen on the training queries by
            default. Others, or the same in another order, need other verdicts.
        most: How many are chosen at most.
        orders: In how many orders the answers are shown: 1 is cheaper, 2 takes out position bias.
        synthesis: Have the judge write a new answer from the candidates' instead of picking one.

    Attributes:
        below_: The judge is asked where the confidence without it is below this.
        judge_usd_: Mean USD of its verdict on a training query; NaN where unknown.
    """

    name = "select"
    reads_free_text = True

    below_: float
    judge_usd_: float
    alone_: Confidence
    judged_: Confidence

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        folds: int = 5,
        seed: int = 0,
        judge: str | None = None,
        log: str | None = None,
        candidates: Sequence[str] | None = None,
        most: int = 3,
        orders: int = 2,
        synthesis: bool = False,
    ) -> None:
        super().__init__(encoder=encoder, folds=folds, seed=seed)
        self.judge = judge
        self.log = log
        self.candidates = candidates
        self.most = most
        self.orders = orders
        self.synthesis = synthesis

    @property
    def _learned(self) -> bool:
        """Whether `fit` has come to its end: it asks for the candidates before."""
        return "below_" in vars(self)

    def fit(
        self,
        table: OutcomeTable,
        policy: Policy | None = None,
        answers: AnswerGroups | None = None,
    ) -> Self:
        """See `Plan.fit`.

        Raises:
            ConfigError: No judge is named, or there are no two candidates.
            TableError: As there, or there are too few verdicts to learn from.
            StoreError: The verdicts cannot be read.
        """
        self.reset()
        answers = answers or group_answers(table)
        return super().fit(
            table, policy, replace(answers, groups=with_free_text(table, answers.groups))
        )

    def _fit(
        self,
        table: OutcomeTable,
        said: Said,
        outlook: Outlook,
        folds: IntArray,
        policy: Policy | None,
    ) -> None:
        names = self.candidates_on(table)
        self._keep(table, np.array([table.arm_names.index(name) for name in names]))
        own, said = table.select_arms(names), said.columns(self.columns_)
        lineups = self._lineups(own, said.groups)
        judged = Judged.of(own, said.groups, self.judge or "", lineups, self._verdicts())
        self.arms_ = judged.table.arms
        self.quality_ = np.r_[self.quality_, np.nan]
        rows = np.array([line.row for line in lineups if not judged.absent[line.row]], dtype=int)
        if len(rows) < _FEWEST_VERDICTS:
            msg = (
                f"the judge {self.judge!r} has verdicts on {len(rows)} of the {len(lineups)} "
                f"training queries where {', '.join(names)} disagree, expected {_FEWEST_VERDICTS} "
                f"or more: {_COLLECT}, and these arms as `candidates`"
            )
            raise TableError(msg, field="select:log")
        self.judge_usd_ = mean_or_nan(judged.table.cost_usd[rows, -1])
        whole = self._said(judged.groups, said.reading, judged.table)
        first = State.fresh(self._widened(outlook.columns(self.columns_)))
        first = first.told(_all_but_judge(first), whole)
        self._learn(first, whole, judged.table.quality, folds, rows)

    def _learn(
        self, first: State, whole: Said, quality: FloatArray, folds: IntArray, rows: IntArray
    ) -> None:
        """Confidences without and with the verdict, and below which of the former it is asked."""
        self.alone_, self.judged_ = Confidence(), Confidence()
        share = self.alone_.fit(first, quality, folds)
        ballots = first.ballots()
        leaders = ballots.leaders(share)
        before = self._standing(first, leaders.ballot, ballots.votes)[rows]
        sure = leaders.first[rows]
        later = first.told(np.ones(first.asked.shape, bool), whole).rows(rows)
        share = self.judged_.fit(later, quality[rows], folds[rows])
        ballots = later.ballots()
        after = self._standing(later, ballots.leaders(share).ballot, ballots.votes)
        reached, each = np.nan_to_num(quality[rows]), np.arange(len(rows))
        self.below_ = surely_gains_below(sure, reached[each, after] - reached[each, before])

    def candidates_on(self, table: OutcomeTable) -> list[str]:
        """Names of the candidates, chosen on these training queries where none are named.

        Raises:
            ConfigError: No judge is named, there are no two candidates, or a number is wrong.
            TableError: The table lacks one.
        """
        if self.orders not in (1, 2):
            msg = f"expected 1 or 2, got {self.orders}"
            raise ConfigError(msg, field="select:orders")
        return candidate_names(table, self.judge, self.candidates, self.most)

    def _widened(self, outlook: Outlook) -> Outlook:
        """With a column for the judge, of which nothing is expected but its cost."""
        n = len(outlook.log_odds)
        return Outlook(
            np.hstack([outlook.log_odds, np.zeros((n, 1))]),
            outlook.topics,
            np.hstack([outlook.cost_usd, np.full((n, 1), self.judge_usd_)]),
        )

    def _said(self, groups: IntArray, reading: FloatArray, table: OutcomeTable) -> Said:
        """With the judge's answer reading as right as the one it picked."""
        lengths = [[np.nan if t is None else len(t) for t in row] for row in texts(table)]
        return Said(groups, np.array(lengths, dtype=float), read_judge(reading, groups))

    # Running

    def begin(self, texts: Sequence[str]) -> State:
        """See `Plan.begin`."""
        self.check_fitted()
        return State.fresh(self._widened(self.competence_.predict(texts).columns(self.columns_)))

    def hear(self, state: State, answers: AnswerGroups) -> Said:
        """See `Plan.hear`; the judge's answer is the one that it picked or wrote."""
        places = np.arange(len(self.columns_))
        reading = self.reader_.predict(
            state.outlook.columns(places), answers.columns(places), self.columns_
        )
        return Said(answers.groups, answers.lengths, read_judge(reading, answers.groups))

    def advise(self, state: State) -> Advice:
        """All candidates; then the judge, where they disagree and the plan is not sure.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        call = np.zeros(state.asked.shape, bool)
        answer, confidence = np.full(len(state), -1), np.zeros(len(state))
        for model, rows in (
            (self.alone_, np.nonzero(~state.asked[:, -1])[0]),
            (self.judged_, np.nonzero(state.asked[:, -1])[0]),
        ):
            part = state.rows(rows)
            ballots = part.ballots()
            share = model.predict(part, ballots) if len(ballots) else np.zeros(0)
            leaders = ballots.leaders(share)
            answer[rows] = self._standing(part, leaders.ballot, ballots.votes)
            confidence[rows] = leaders.first
            if model is self.alone_:
                call[rows, :-1] = ~part.asked[:, :-1]
                several = np.bincount(ballots.query, minlength=len(part)) > 1
                unsure = several & (leaders.first < self.below_)
                call[rows, -1] = part.asked[:, :-1].all(axis=1) & unsure
        return Advice(call, answer, confidence)

    def own(
        self, table: OutcomeTable, answers: AnswerGroups | None
    ) -> tuple[OutcomeTable, AnswerGroups]:
        """See `Plan.own`; the judge's column comes from its recorded verdicts.

        Raises:
            TableError: As there, or a verdict that the plan asks for is not recorded.
        """
        own, groups = self._candidates(table, answers)
        lineups = self._wanted(own, groups)
        judged = Judged.of(own, groups, self.judge or "", lineups, self._verdicts())
        if judged.absent.any():
            msg = (
                f"the plan asks the judge {self.judge!r} about {len(lineups)} queries, and its "
                f"verdicts on {int(judged.absent.sum())} are not recorded: {_COLLECT}"
            )
            raise TableError(msg, field="select:log")
        return judged.table, judged.answers

    # What is asked of the judge

    def lineup(
        self, question: str, responses: Sequence[str | None], groups: Sequence[int]
    ) -> Lineup | None:
        """See `Plan.lineup`."""
        return Lineup.of(question, responses, groups, turns=self.orders, synthesis=self.synthesis)

    def lineups(self, table: OutcomeTable, answers: AnswerGroups | None = None) -> list[Lineup]:
        """What the judge is asked about a table's queries.

        Before `fit`, wherever candidates disagree; afterwards, where the plan would ask.

        Raises:
            ConfigError: No judge is named, or there are no two candidates.
            TableError: The table lacks a candidate or its responses.
        """
        own, groups = self._candidates(table, answers)
        return self._wanted(own, groups) if self._learned else self._lineups(own, groups)

    def _wanted(self, own: OutcomeTable, groups: IntArray) -> list[Lineup]:
        silent = Judged.of(own, groups, self.judge or "", [], {})
        state = self.begin(own.texts)
        said = self.hear(state, silent.answers)
        asks = self.advise(state.told(_all_but_judge(state), said)).call[:, -1]
        return [lineup for lineup in self._lineups(own, groups) if asks[lineup.row]]

    def _lineups(self, own: OutcomeTable, groups: IntArray) -> list[Lineup]:
        return Lineup.across(
            own.texts, texts(own), groups.tolist(), turns=self.orders, synthesis=self.synthesis
        )

    def _candidates(
        self, table: OutcomeTable, answers: AnswerGroups | None
    ) -> tuple[OutcomeTable, IntArray]:
        learned = [arm.name for arm in self.arms_[:-1]] if self._learned else None
        names = learned or self.candidates_on(table)
        own = table.select_arms(names)
        if answers is None:
            groups = group_answers(own).groups
        else:
            groups = answers.groups[:, [table.arm_names.index(name) for name in names]]
        return own, with_free_text(own, groups)

    def _verdicts(self) -> dict[str, Verdict]:
        return {} if self.log is None else read_verdicts(self.log, self.judge or "")


def _all_but_judge(state: State) -> BoolArray:
    return np.arange(state.asked.shape[1]) < np.full((len(state), 1), state.asked.shape[1] - 1)
