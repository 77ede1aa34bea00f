"""The vote: answers weighted by what their arms know, until the rest cannot change the result."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import ConfigError
from fusionfactory.plans.ballots import Ballots
from fusionfactory.plans.base import Plan
from fusionfactory.plans.confidence import Confidence
from fusionfactory.plans.replay import execute
from fusionfactory.plans.state import Advice, Said, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.encoders import Encoder
    from fusionfactory.plans.competence import Outlook
    from fusionfactory.policy import Policy
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["VotePlan"]

_HEAD_STARTS = (0.0, 1.0, 2.0, 4.0)
_LEAST_GAIN = 1e-3


class VotePlan(Plan):
    """A weighted vote (Nitzan & Paroush, 1982) that is cut short when it is decided.

    An arm's vote weighs the log-odds of it being right on this query, plus a head start that is
    chosen on the training queries: the more wrong answers there are, the more agreement tells.
    Arms are asked one by one, cheap ones first, until the second answer could not overtake the
    first even if all others voted for it: the result is that of the whole vote.

    Args:
        encoder: See `Competence`.
        folds: Of the cross-fitting.
        seed: Of everything random in `fit`.
        voters: Names of the arms that vote; chosen on the training queries by default.
        most: How many arms are chosen at most.

    Attributes:
        head_start_: Added to the log-odds of every arm.
        confidence_: Learned on what was known when the training queries' votes were decided; it
            has no say in the result.
    """

    name = "vote"

    head_start_: float
    confidence_: Confidence

    def __init__(
        self,
        *,
        encoder: str | Encoder = "text",
        folds: int = 5,
        seed: int = 0,
        voters: Sequence[str] | None = None,
        most: int = 7,
    ) -> None:
        super().__init__(encoder=encoder, folds=folds, seed=seed)
        self.voters = voters
        self.most = most

    def _fit(
        self,
        table: OutcomeTable,
        said: Said,
        outlook: Outlook,
        folds: IntArray,
        policy: Policy | None,
    ) -> None:
        if self.most < 1:
            msg = f"must be at least 1, got {self.most}"
            raise ConfigError(msg, field="most")
        if self.voters:
            table.select_arms(self.voters)
        given = [table.arm_names.index(name) for name in self.voters or []]
        tried = [
            (*self._choose(table, said, outlook, start, given), start) for start in _HEAD_STARTS
        ]
        _, chosen, self.head_start_ = max(tried, key=lambda trial: trial[0])
        cost = np.nan_to_num(table.arm_cost_usd(), nan=np.inf)
        self._keep(table, np.array(sorted(chosen, key=lambda arm: (cost[arm], arm))))
        self.confidence_ = Confidence()
        own = said.columns(self.columns_)
        state, _ = execute(self, State.fresh(outlook.columns(self.columns_)), lambda _: own)
        self.confidence_.fit(state, table.quality[:, self.columns_], folds)

    def _choose(
        self,
        table: OutcomeTable,
        said: Said,
        outlook: Outlook,
        start: float,
        given: list[int],
    ) -> tuple[float, list[int]]:
        """Quality and columns of the voters that greedy forward selection finds."""
        weights = np.maximum(outlook.log_odds + start, 0.0)
        ballots = Ballots.of(said.groups, np.ones_like(said.groups, dtype=bool))
        right = ballots.supported(table.quality)

        def reached(arms: list[int]) -> float:
            voted = ballots.votes[:, arms]
            total = np.where(voted, weights[ballots.query][:, arms], 0.0).sum(axis=1)
            leading = ballots.leaders(np.where(voted.any(axis=1), total, -1.0))
            some = leading.ballot >= 0
            return float(np.where(some, right[leading.ballot], 0.0).mean()) if len(right) else 0.0

        if given:
            return reached(given), given
        chosen = [table.best_single()]
        best = reached(chosen)
        while len(chosen) < min(self.most, len(table.arms)):
            others = [arm for arm in range(len(table.arms)) if arm not in chosen]
            found = max(([arm] for arm in others), key=lambda more: reached([*chosen, *more]))
            if reached([*chosen, *found]) <= best + _LEAST_GAIN:
                # A second voter alone cannot outvote the first.
                pairs = [list(pair) for pair in combinations(others, 2)]
                pairs = pairs if len(chosen) + 2 <= self.most else []
                found = max(pairs, key=lambda more: reached([*chosen, *more]), default=found)
            if reached([*chosen, *found]) <= best + _LEAST_GAIN:
                break
            chosen += found
            best = reached(chosen)
        return best, chosen

    def _weights(self, state: State) -> FloatArray:
        return np.asarray(np.maximum(state.outlook.log_odds + self.head_start_, 0.0))

    def _tally(self, state: State, ballots: Ballots) -> FloatArray:
        return np.asarray((ballots.votes * self._weights(state)[ballots.query]).sum(axis=1))

    def advise(self, state: State) -> Advice:
        """The cheapest arm not asked yet, while the result is open.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        ballots = state.ballots()
        leaders = ballots.leaders(self._tally(state, ballots))
        missing = ~state.asked
        rest = np.where(missing, self._weights(state), 0.0).sum(axis=1)
        open_ = (leaders.ballot < 0) | ((leaders.first - leaders.second <= rest) & (rest > 0))
        first = np.zeros(missing.shape, bool)
        first[np.arange(len(state)), missing.argmax(axis=1)] = True
        call = first & missing & open_[:, None]
        confidence = np.zeros(len(state))
        if self.confidence_.is_fitted and len(ballots):
            share = self.confidence_.predict(state, ballots)
            confidence = np.where(leaders.ballot >= 0, share[leaders.ballot], 0.0)
        return Advice(call, self._standing(state, leaders.ballot, ballots.votes), confidence)
