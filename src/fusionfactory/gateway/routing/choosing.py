"""From a router's estimates to an arm: the best, the conversation's own, or one to learn from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.gateway.log.record import Why
    from fusionfactory.gateway.routing.exploration import Exploration
    from fusionfactory.gateway.routing.served import Served
    from fusionfactory.gateway.routing.trade import Row, Trade
    from fusionfactory.policy import Policy

__all__ = ["Choice", "Chooser", "best_arm"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen.

    Attributes:
        arms: The chosen one, then the others, the most useful first; plans among them.
        why: Why it is.
        propensities: Arm to its probability, of those that could have been chosen.
        ruled_out: Arms that the policy's ceiling leaves out.
    """

    arms: tuple[str, ...]
    why: Why
    propensities: dict[str, float]
    ruled_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses among the arms that can answer a request.

    A plan is chosen where it is best, and never to learn: whether it can begin is known only when
    it does, and the probabilities of the others would not be.

    Attributes:
        exploration: Draws arms.
        switch_cost: Expected quality for which a conversation changes its arm.
    """

    exploration: Exploration
    switch_cost: float

    def choose(
        self,
        served: Served,
        row: Row,
        policy: Policy,
        columns: tuple[int, ...],
        own: str | None = None,
    ) -> Choice:
        """An arm, and who comes after it.

        Args:
            served: The router.
            row: Its estimates.
            policy: The trade-off.
            columns: Of the arms that can answer, one at least.
            own: The arm that the conversation has.

        Raises:
            PolicyError: The policy cannot be applied by this router.
        """
        trade = served.trade(policy)
        utility = trade.utilities(row, columns)
        cost = [row.cost_usd[i] for i in columns]
        names = [served.names[i] for i in columns]
        top = served.best(row, policy, utility, columns)
        why: Why
        if own in names and self._stays(trade, row, utility, names.index(own), top):
            chosen, why, chances = names.index(own), "session", {own: 1.0}
        else:
            candidates = self._candidates(served, names, utility, cost, top)
            shares = self._shares(served, trade, row, columns, utility, candidates, top)
            chosen = self.exploration.draw(candidates, shares)
            self.exploration.spend(cost[chosen] - cost[top])
            why = "best" if chosen == top else "explore"
            chances = {names[i]: share for i, share in zip(candidates, shares, strict=True)}
        ranked = sorted(range(len(names)), key=lambda i: (i != chosen, -utility[i], i))
        if policy.max_cost_usd is None:
            return Choice(tuple([names[i] for i in ranked]), why, chances)
        kept = [i for i in ranked if i == chosen or utility[i] > -math.inf]
        ruled_out = [names[i] for i in ranked if i not in kept]
        return Choice(tuple([names[i] for i in kept]), why, chances, tuple(ruled_out))

    def _stays(self, trade: Trade, row: Row, utility: Sequence[float], own: int, top: int) -> bool:
        """Whether what the best arm gains does not pay for a change."""
        if utility[own] == -math.inf:
            return False
        return utility[top] - utility[own] <= self.switch_cost * trade.gain(row)

    def _candidates(
        self,
        served: Served,
        names: Sequence[str],
        utility: Sequence[float],
        cost: Sequence[float],
        top: int,
    ) -> list[int]:
        if names[top] in served.plans:
            return [top]
        if served.at_random:
            found = [i for i, value in enumerate(utility) if value > -math.inf or i == top]
        else:
            found = self.exploration.candidates(utility, cost, top)
        return [i for i in found if names[i] not in served.plans] if served.plans else found

    def _shares(
        self,
        served: Served,
        trade: Trade,
        row: Row,
        columns: tuple[int, ...],
        utility: Sequence[float],
        candidates: Sequence[int],
        top: int,
    ) -> list[float]:
        """Probability of each candidate."""
        if served.at_random:
            return [1 / len(candidates)] * len(candidates)
        if len(candidates) == 1:
            return [1.0]
        key = (trade, columns, *candidates)
        found = row.remembered.get(key)
        if found is None:
            spread = None
            if row.quality_std is not None:
                gain = trade.gain(row)
                spread = [gain * row.quality_std[i] for i in columns]
            found = self.exploration.probabilities(utility, spread, candidates, top)
            row.remembered.clear()
            row.remembered[key] = found
        return found


def best_arm(served: Served, row: Row, policy: Policy, columns: tuple[int, ...]) -> str:
    """The arm that the router prefers, whatever the conversation has, and without exploration.

    Raises:
        PolicyError: As `Chooser.choose`.
    """
    utility = served.trade(policy).utilities(row, columns)
    return served.names[columns[served.best(row, policy, utility, columns)]]
