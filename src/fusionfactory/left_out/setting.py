"""What both ways of leaving out share: the table as it is evaluated, routers, a policy, gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fusionfactory.errors import TableError
from fusionfactory.evaluation import applicable, covered_arms
from fusionfactory.intervals import Bootstrap
from fusionfactory.metrics import mean_or_nan
from fusionfactory.policy import Policy
from fusionfactory.pricing import with_usable_costs
from fusionfactory.routers import make_router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Setting"]


@dataclass(frozen=True)
class Setting:
    """What is the same for everything that is left out.

    Attributes:
        table: Its quality is what the policy is about, its arms those that are scored enough.
        policy: To choose by.
        encoder: Default encoder of the routers.
        seed: Of the routers.
        bootstrap: Of the table's groups.
    """

    table: OutcomeTable
    policy: Policy
    encoder: str
    seed: int
    bootstrap: Bootstrap

    @classmethod
    def of(
        cls,
        table: OutcomeTable,
        routers: Sequence[str],
        scenario: str,
        encoder: str,
        seed: int,
        min_coverage: float,
        draws: int,
        fewest_arms: int,
    ) -> Self:
        """Checks and prepares.

        Raises:
            TableError: The table has too few arms that are scored enough.
            PolicyError: The scenario is unknown or cannot be run.
            UnknownNameError: A router, or a parameter of one, is unknown.
        """
        for spec in routers:
            make_router(spec, encoder=encoder)
        table = with_usable_costs(covered_arms(table, min_coverage)[0])
        policy = Policy.parse(scenario)
        applicable([policy], table, min_coverage)
        if policy.judge:
            table = covered_arms(table.judged(), min_coverage)[0]
        if len(table.arms) < fewest_arms:
            msg = f"needs at least {fewest_arms} arms, got {', '.join(table.arm_names)}"
            raise TableError(msg, field="llm")
        return cls(table, policy, encoder, seed, Bootstrap(table.groups(), draws))

    def fitted(self, spec: str, train: OutcomeTable) -> Router:
        """A router that has learnt from these outcomes."""
        router = make_router(spec, encoder=self.encoder, seed=self.seed)
        return router.fit(train, self.policy if router.policy_bound else None)

    def picks(self, router: Router, test: OutcomeTable) -> IntArray:
        """(n,) columns of the test table that the router chooses, which may know part of them."""
        chosen = router.choose(router.estimate(test.texts), self.policy)
        columns = [test.arm_names.index(arm.name) for arm in router.arms_]
        return np.asarray(columns)[chosen]

    def gain(self, rows: Sequence[IntArray], differences: Sequence[FloatArray]) -> dict[str, Any]:
        """Mean paired difference over all queries of all parts, and its 95 % interval.

        Args:
            rows: Per part, rows of the table.
            differences: Per part, differences of quality on them; NaN where unknown.
        """
        joined, values = np.concatenate(rows), np.concatenate(differences)
        low, high = self.bootstrap.interval([joined], [values])
        return {"gain": mean_or_nan(values), "ci95": [low, high]}
