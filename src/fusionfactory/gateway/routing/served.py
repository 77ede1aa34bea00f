"""A version of a router as it decides in front of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.errors import PolicyError
from fusionfactory.gateway.routing.estimation import Estimation
from fusionfactory.gateway.routing.trade import Row, Trade, best
from fusionfactory.routers import Router
from fusionfactory.routers.baselines import RandomRouter

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fusionfactory.policy import Policy

__all__ = ["Served", "UnaffordableError"]

_REMEMBERED = 1024


class UnaffordableError(PolicyError):
    """The budget cannot be kept by the arms as they are."""


class Served:
    """What can be worked out once per version: which arms, in which order, at which trade-offs.

    Args:
        version: Its name in the log.
        router: Fitted. Its arms that are neither of the fleet nor plans are passed over.
        fleet: Names of the arms that may be routed to.
        plans: Names of the plans that may be.
        patience_s: See `Batcher`.

    Attributes:
        names: Of the arms and plans that it knows, in order.
        plans: Those of them that are plans.
    """

    def __init__(
        self,
        version: str,
        router: Router,
        fleet: Collection[str],
        *,
        plans: Collection[str] = (),
        patience_s: float = 1.0,
    ) -> None:
        router.check_fitted()
        self.version, self._router = version, router
        there = {*fleet, *plans}
        known = sorted((arm.name, i) for i, arm in enumerate(router.arms_) if arm.name in there)
        self.names = tuple(name for name, _ in known)
        self.plans = frozenset(self.names).intersection(plans)
        self._columns = tuple(column for _, column in known)
        self.every = tuple(range(len(known)))
        self.estimation = Estimation(router, self._columns, patience_s=patience_s)
        self.at_random = isinstance(router, RandomRouter)
        self._own_way = type(router).choose is not Router.choose and not self.at_random
        self._trades: dict[Policy, Trade | PolicyError] = {}

    def trade(self, policy: Policy) -> Trade:
        """The policy as this router applies it.

        Raises:
            UnaffordableError: The router cannot keep to the budget.
            PolicyError: It was fitted under another policy.
        """
        found = self._trades.get(policy)
        if found is None:
            if len(self._trades) >= _REMEMBERED:
                self._trades.clear()
            try:
                found = self._traded(policy)
            except PolicyError as error:
                found = error
            self._trades[policy] = found
        if isinstance(found, PolicyError):
            raise type(found)(found.message)
        return found

    def _traded(self, policy: Policy) -> Trade:
        router = self._router
        if router.policy_bound:
            learned: str = getattr(router, "policy_name_", "")
            if policy.name != learned:
                msg = (
                    f"router {router.name!r} learned the labels of policy {learned!r} and cannot "
                    f"decide by {policy.name!r}"
                )
                raise PolicyError(msg)
            return Trade(policy, by_reward=True)
        ahead = router.head_start(policy)
        head_start = None
        if ahead is not None:
            head_start = tuple(float(ahead[column]) for column in self._columns)
        try:
            policy = router.frontier_.within(policy)
        except PolicyError as error:
            raise UnaffordableError(error.message) from None
        return Trade(policy, head_start=head_start)

    def best(
        self, row: Row, policy: Policy, utility: Sequence[float], columns: Sequence[int]
    ) -> int:
        """The place, among some arms, of the one that the router prefers.

        Args:
            row: Its estimates.
            policy: As it was asked for.
            utility: Of these arms.
            columns: Of these arms.
        """
        if self._own_way and row.whole is not None:
            chosen = int(self._router.choose(row.whole, policy)[0])
            if chosen in self._columns and (own := self._columns.index(chosen)) in columns:
                return columns.index(own)
        if self._router.policy_bound:
            return max(range(len(columns)), key=lambda i: (utility[i], -self._columns[columns[i]]))
        return best(utility, [row.cost_usd[i] for i in columns])

    def close(self) -> None:
        """Ends its thread after what it has been asked already."""
        self.estimation.close()
