"""The cascade: stages of arms, cheap ones first, until going on is not worth its price."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.errors import ConfigError, PolicyError
from fusionfactory.plans.base import Plan
from fusionfactory.plans.confidence import Confidence, expected_calibration_error
from fusionfactory.plans.search import find_stages
from fusionfactory.plans.state import Advice, State
from fusionfactory.plans.stopping import Stopping
from fusionfactory.policy import Normaliser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.answers import AnswerGroups
    from fusionfactory.encoders import Encoder
    from fusionfactory.plans.ballots import Leaders
    from fusionfactory.plans.competence import Outlook
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["CascadePlan"]

_PRICES = np.logspace(-2.5, 1.5, 21)


class CascadePlan(Plan):
    """Stages of arms with an optimal stopping rule for every price of quality.

    After each stage a `Confidence` says how likely the leading answer is right, and `Stopping`
    whether the next stage is worth its price. All prices are learned in one fit; `under` and `at`
    change the price without another.

    Args:
        encoder: See `Competence`.
        folds: Of the cross-fitting.
        seed: Of everything random in `fit`.
        stages: Names of the arms of every stage, for example `[["a", "b"], ["c"]]`; chosen on the
            training queries by default.
        penalty: See `Confidence`.

    Attributes:
        stage_of_: (m,) the stage at which each arm is asked.
        price_: (p,) quality that a USD must buy, rising.
        spend_usd_: (p,) mean USD per training query at each price, out of fold.
        gain_: (p,) mean quality likewise.
        step_: Which price the plan runs at.
    """

    name = "cascade"

    stage_of_: IntArray
    confidences_: list[Confidence]
    stopping_: Stopping
    price_: FloatArray
    spend_usd_: FloatArray
    gain_: FloatArray
    normaliser_: Normaliser
    ceiling_usd_: float | None
    step_: int

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        folds: int = 5,
        seed: int = 0,
        stages: Sequence[Sequence[str]] | None = None,
        penalty: float = 0.03,
    ) -> None:
        super().__init__(encoder=encoder, folds=folds, seed=seed)
        self.stages = stages
        self.penalty = penalty

    @property
    def stages_(self) -> list[list[str]]:
        """Names of the arms of every stage."""
        self.check_fitted()
        return [
            [self.arms_[c].name for c in np.nonzero(self.stage_of_ == stage)[0]]
            for stage in range(len(self.confidences_))
        ]

    def _fit(
        self,
        table: OutcomeTable,
        answers: AnswerGroups,
        outlook: Outlook,
        folds: IntArray,
        policy: Policy | None,
    ) -> None:
        stages = find_stages(table) if self.stages is None else self._given(table)
        self.stage_of_ = np.repeat(np.arange(len(stages)), [len(stage) for stage in stages])
        self._keep(table, np.concatenate([np.asarray(stage, dtype=int) for stage in stages]))
        self.normaliser_ = Normaliser().fit(table)
        scale = float(table.arm_cost_usd()[table.best_single()])
        self.price_ = np.r_[0.0, _PRICES / (scale if scale > 0 else 1.0)]
        whole = State.fresh(outlook.columns(self.columns_)).told(
            np.ones((len(table), len(self.columns_)), bool),
            answers.groups[:, self.columns_],
            answers.lengths[:, self.columns_],
        )
        self._learn(whole, table, folds)
        self.step_, self.ceiling_usd_ = 0, None
        if policy is not None:
            self.step_, self.ceiling_usd_ = self._step(policy), policy.max_cost_usd

    def _given(self, table: OutcomeTable) -> list[list[int]]:
        names = [name for stage in self.stages or [] for name in stage]
        twice = next((name for name in names if names.count(name) > 1), None)
        if not names or twice is not None or not all(self.stages or []):
            wrong = f"{twice!r} stands twice" if twice else "a stage is empty"
            msg = f"{wrong}: name at least one arm for every stage, each arm once"
            raise ConfigError(msg, field="stages")
        table.select_arms(names)
        return [[table.arm_names.index(name) for name in stage] for stage in self.stages or []]

    def _learn(self, whole: State, table: OutcomeTable, folds: IntArray) -> None:
        """Confidences and stopping rules, each out of fold for what builds on it."""
        quality = np.nan_to_num(table.quality[:, self.columns_])
        cost = np.nan_to_num(table.cost_usd[:, self.columns_])
        rows = np.arange(len(table))
        self.confidences_, features, reached, paid = [], [], [], []
        for stage in range(int(self.stage_of_.max()) + 1):
            state = self._after(whole, stage)
            model = Confidence(penalty=self.penalty)
            share = model.fit(state, table.quality[:, self.columns_], folds)
            self.confidences_.append(model)
            ballots = state.ballots()
            leaders = ballots.leaders(share)
            features.append(self._features(state, leaders, stage))
            reached.append(quality[rows, self._standing(state, leaders.ballot, ballots.votes)])
            paid.append(cost[:, self.stage_of_ == stage].sum(axis=1))
            error = expected_calibration_error(leaders.first, reached[-1])
            self.metrics_[f"calibration_error_stage_{stage + 1}"] = error
        self.stopping_ = Stopping(seed=self.seed)
        stop = self.stopping_.fit(
            features[:-1], np.array(reached), np.array(paid), self.price_, folds
        )
        total = np.cumsum(paid, axis=0)
        self.spend_usd_ = total[stop, rows].mean(axis=1)
        self.gain_ = np.array(reached)[stop, rows].mean(axis=1)

    def _after(self, whole: State, stage: int) -> State:
        asked = np.broadcast_to(self.stage_of_ <= stage, whole.asked.shape)
        return State.fresh(whole.outlook).told(asked, whole.groups, whole.lengths)

    def _features(self, state: State, leaders: Leaders, stage: int) -> FloatArray:
        """(n, d) what a decision to go on depends on."""
        odds, cost = state.outlook.log_odds, np.nan_to_num(state.outlook.cost_usd)
        later = self.stage_of_ > stage
        upcoming = self.stage_of_ == stage + 1 if later.any() else self.stage_of_ == stage
        columns = [
            leaders.first,
            leaders.second,
            odds.mean(axis=1),
            odds[:, upcoming].max(axis=1),
            cost[:, upcoming].sum(axis=1),
        ]
        return np.hstack([np.stack(columns, axis=1), state.outlook.topics])

    # Running

    def advise(self, state: State) -> Advice:
        """The next stage where going on is worth its price.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        unasked = np.where(state.asked, len(self.confidences_), self.stage_of_)
        reached = unasked.min(axis=1) - 1
        call = np.zeros(state.asked.shape, bool)
        call[reached < 0] = self.stage_of_ == 0
        answer, confidence = np.full(len(state), -1), np.zeros(len(state))
        for stage in np.unique(reached[reached >= 0]):
            rows = np.nonzero(reached == stage)[0]
            part = state.rows(rows)
            ballots = part.ballots()
            leaders = ballots.leaders(self.confidences_[stage].predict(part, ballots))
            confidence[rows] = leaders.first
            answer[rows] = self._standing(part, leaders.ballot, ballots.votes)
            if stage + 1 < len(self.confidences_):
                features = self._features(part, leaders, stage)
                go = self.stopping_.goes_on(stage, features, self.step_)
                go &= self._affordable(part, stage + 1)
                call[rows] = go[:, None] & (self.stage_of_ == stage + 1)
        return Advice(call, answer, confidence)

    def _affordable(self, state: State, stage: int) -> BoolArray:
        if self.ceiling_usd_ is None:
            return np.ones(len(state), bool)
        cost = np.nan_to_num(state.outlook.cost_usd)[:, self.stage_of_ <= stage]
        return np.asarray(cost.sum(axis=1) <= self.ceiling_usd_)

    # Changing the price without another fit

    def under(self, policy: Policy) -> Self:
        """The same plan run by another policy.

        Raises:
            NotFittedError: Before `fit`.
            PolicyError: The budget is below what the first stage costs.
        """
        self.check_fitted()
        other = self.at(self._step(policy))
        other.ceiling_usd_ = policy.max_cost_usd
        return other

    def at(self, step: int) -> Self:
        """The same plan run at one of the prices of `price_`.

        Raises:
            NotFittedError: Before `fit`.
            PolicyError: There is no such step.
        """
        self.check_fitted()
        if not 0 <= step < len(self.price_):
            msg = f"no step {step}: the plan has prices 0 to {len(self.price_) - 1}"
            raise PolicyError(msg)
        other = copy(self)
        other.step_ = int(step)
        return other

    def _step(self, policy: Policy) -> int:
        if policy.budget_usd is not None:
            within = np.nonzero(self.spend_usd_ <= policy.budget_usd)[0]
            if not within.size:
                msg = (
                    f"the plan's first stage costs {self.spend_usd_.min() * 1000:.4g} USD per "
                    f"1,000 queries, over {policy.name!r}"
                )
                raise PolicyError(msg)
            return int(within[self.gain_[within].argmax()])
        if policy.beta == 0:
            return 0
        price = policy.beta / max(policy.alpha, 1e-12)
        if policy.normalised:
            quality_slope, cost_slope = self.normaliser_.slopes(None, 1)
            price *= float(cost_slope[0]) / max(float(quality_slope[0]), 1e-12)
        distance = np.abs(np.log(np.maximum(self.price_, 1e-300)) - np.log(max(price, 1e-300)))
        return int(distance.argmin())
