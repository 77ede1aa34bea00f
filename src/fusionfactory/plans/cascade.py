"""The cascade: stages of arms, each asked where it is worth its price on what is known by then."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.errors import ConfigError, PolicyError
from fusionfactory.missing import complete
from fusionfactory.plans.base import Plan
from fusionfactory.plans.calibration import expected_calibration_error
from fusionfactory.plans.confidence import Confidence
from fusionfactory.plans.costs import filled_costs
from fusionfactory.plans.search import find_stages
from fusionfactory.plans.state import Advice, Said, State
from fusionfactory.plans.stopping import Stopping
from fusionfactory.policy import Normaliser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.encoders import Encoder
    from fusionfactory.plans.ballots import Leaders
    from fusionfactory.plans.competence import Outlook
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["CascadePlan"]

_PRICES = np.logspace(-2.4, 1.0, 36)
_MOST_STAGES = 6


class CascadePlan(Plan):
    """Stages of arms, and for every price of quality a rule which to ask next or to stop.

    After each stage a `Confidence` says how likely the leading answer is right, and `Stopping`
    which further stage, if any, is worth its price. Any stage may be the first, and stages may be
    left out: an easy query ends after cheap arms, a hard one may go to a dear arm at once. All
    prices are learned in one fit; `under` and `at` change the price without another.

    Args:
        encoder: See `Competence`.
        folds: Of the cross-fitting.
        seed: Of everything random in `fit`.
        stages: Names of the arms of every stage, for example `[["a", "b"], ["c"]]`; chosen on the
            training queries by default.
        penalty: See `Confidence`.

    Attributes:
        stage_of_: (m,) the stage to which each arm belongs, rising.
        price_: (p,) quality that a USD must buy, rising.
        spend_usd_: (p,) mean USD per training query at each price, out of fold.
        gain_: (p,) mean quality likewise.
        step_: Which price the plan runs at.
    """

    name = "cascade"

    stage_of_: IntArray
    confidences_: list[Confidence | None]
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
            for stage in range(self._count)
        ]

    def _fit(
        self,
        table: OutcomeTable,
        said: Said,
        outlook: Outlook,
        folds: IntArray,
        policy: Policy | None,
    ) -> None:
        stages = self._given(table) if self.stages else find_stages(table, said)
        self.stage_of_ = np.repeat(np.arange(len(stages)), [len(stage) for stage in stages])
        self._keep(table, np.concatenate([np.asarray(stage, dtype=int) for stage in stages]))
        self.normaliser_ = Normaliser().fit(table)
        scale = float(table.arm_cost_usd()[table.best_single()])
        self.price_ = np.r_[0.0, _PRICES / (scale if scale > 0 else 1.0)]
        whole = State.fresh(outlook.columns(self.columns_)).told(
            np.ones((len(table), len(self.columns_)), bool),
            said.columns(self.columns_),
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
        if len(self.stages or []) > _MOST_STAGES:
            msg = f"{len(self.stages or [])} stages are more than the {_MOST_STAGES} there may be"
            raise ConfigError(msg, field="stages")
        table.select_arms(names)
        return [[table.arm_names.index(name) for name in stage] for stage in self.stages or []]

    def _learn(self, whole: State, table: OutcomeTable, folds: IntArray) -> None:
        """Confidences and stopping rules, each out of fold for what builds on it."""
        quality = table.quality[:, self.columns_]
        filled = np.clip(complete(table.quality), 0.0, 1.0)[:, self.columns_]
        cost = filled_costs(table)[:, self.columns_]
        rows = np.arange(len(table))
        self.confidences_, features = [None], []
        reached = np.zeros((1 << self._count, len(table)))
        for mask in range(1 << self._count):
            state = self._after(whole, mask)
            ballots = state.ballots()
            share: FloatArray = np.zeros(0)
            if mask:
                model = Confidence(penalty=self.penalty)
                share = model.fit(state, quality, folds)
                self.confidences_.append(model)
            leaders = ballots.leaders(share)
            features.append(self._features(state, leaders))
            if mask:
                answer = self._standing(state, leaders.ballot, ballots.votes)
                reached[mask] = filled[rows, answer]
        self.metrics_["calibration_error"] = expected_calibration_error(
            leaders.first, quality[rows, answer]
        )
        paid = np.stack([cost[:, self.stage_of_ == s].sum(axis=1) for s in range(self._count)])
        self.stopping_ = Stopping(seed=self.seed)
        found = self.stopping_.fit(features[:-1], reached, paid, self.price_, folds)
        self.gain_, self.spend_usd_ = (values.mean(axis=1) for values in found)

    @property
    def _count(self) -> int:
        return int(self.stage_of_[-1]) + 1

    def _after(self, whole: State, mask: int) -> State:
        asked = np.broadcast_to((mask >> self.stage_of_ & 1).astype(bool), whole.asked.shape)
        return replace(whole, asked=asked)

    def _features(self, state: State, leaders: Leaders) -> FloatArray:
        """(n, d) what a decision to go on depends on."""
        odds = state.outlook.log_odds
        knows = [odds[:, self.stage_of_ == s].max(axis=1) for s in range(self._count)]
        columns = [leaders.first, leaders.second, odds.mean(axis=1), *knows]
        return np.hstack(
            [np.stack(columns, axis=1), self._stage_costs(state), state.outlook.topics]
        )

    def _stage_costs(self, state: State) -> FloatArray:
        """(n, k) expected USD of every stage, of its arms whose cost was ever seen."""
        return np.asarray(np.nan_to_num(state.outlook.cost_usd) @ self._membership)

    @property
    def _membership(self) -> BoolArray:
        """(m, k) which arms are in which stage."""
        return np.asarray(self.stage_of_[:, None] == np.arange(self._count))

    # Running

    def advise(self, state: State) -> Advice:
        """The next stage where going on is worth its price.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        call = np.zeros(state.asked.shape, bool)
        answer, confidence = np.full(len(state), -1), np.zeros(len(state))
        masks = self._masks(state)
        for mask in np.unique(masks).tolist():
            rows = np.nonzero(masks == mask)[0]
            part = state.rows(rows)
            ballots = part.ballots()
            model = self.confidences_[mask]
            leaders = ballots.leaders(
                np.zeros(0) if model is None else model.predict(part, ballots)
            )
            confidence[rows] = leaders.first
            answer[rows] = self._standing(part, leaders.ballot, ballots.votes)
            stage = self.stopping_.next_stage(
                mask, self._features(part, leaders), self.step_, self._affordable(part)
            )
            call[rows] = (stage[:, None] == self.stage_of_) & ~part.asked
        return Advice(call, answer, confidence)

    def _masks(self, state: State) -> IntArray:
        """(n,) masks of the stages whose arms were all asked."""
        bits = [state.asked[:, self.stage_of_ == s].all(axis=1) << s for s in range(self._count)]
        return np.asarray(np.sum(bits, axis=0))

    def _affordable(self, state: State) -> BoolArray:
        """(n, k) whether a stage would stay within the ceiling on a query's cost.

        One with an arm whose cost was never seen is not known to.
        """
        cost = self._stage_costs(state)
        if self.ceiling_usd_ is None:
            return np.ones(cost.shape, bool)
        cost = np.where(np.isnan(state.outlook.cost_usd) @ self._membership, np.inf, cost)
        spent = np.where(state.asked, np.nan_to_num(state.outlook.cost_usd), 0.0).sum(axis=1)
        return np.asarray(spent[:, None] + cost <= self.ceiling_usd_)

    # Changing the price without another fit

    def under(self, policy: Policy) -> Self:
        """The same plan run by another policy.

        Raises:
            NotFittedError: Before `fit`.
            PolicyError: The budget is below what the cheapest rule spends, or cost matters and no
                arm's cost is known.
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
        weighs = policy.beta > 0 or policy.budget_usd is not None or policy.max_cost_usd is not None
        if weighs and self.competence_.cost_.is_empty:
            msg = f"policy {policy.name!r} weighs cost, but no arm's cost is known"
            raise PolicyError(msg)
        if policy.budget_usd is not None:
            within = np.nonzero(self.spend_usd_ <= policy.budget_usd)[0]
            if not within.size:
                msg = (
                    f"the plan costs at least {self.spend_usd_.min() * 1000:.4g} USD per "
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
