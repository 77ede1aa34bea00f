"""What of a large table is evaluated: its arms, and the policies that it can be evaluated under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from fusionfactory.errors import TableError
from fusionfactory.evaluation import runnable, scored_arms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.large import LargeTable
    from fusionfactory.policy import Policy

__all__ = ["Subject", "covered"]


def covered(table: LargeTable, min_coverage: float) -> tuple[LargeTable, dict[str, float]]:
    """A large table with usable costs, of the arms that are scored on enough queries.

    Args:
        table: Any.
        min_coverage: The least share of the queries.

    Returns:
        The table, and the arms that are left out with their shares.

    Raises:
        TableError: No arm is scored on enough queries.
    """
    shares = table.sums.coverage()
    kept = scored_arms(shares, min_coverage)
    dropped = {name: share for name, share in shares.items() if name not in kept}
    return (table.select_arms(kept) if dropped else table).with_usable_costs(), dropped


@dataclass(frozen=True, eq=False)
class Subject:
    """What is evaluated.

    Attributes:
        table: The arms that are scored on enough queries, with usable costs.
        dropped: The other arms, with the share of queries on which they are scored.
        policies: To choose by, in the order asked for.
        skipped: The other policies, with the reason.
        judged_arms: Names of the arms that have enough judge scores.
    """

    table: LargeTable
    dropped: dict[str, float]
    policies: tuple[Policy, ...]
    skipped: dict[str, str]
    judged_arms: tuple[str, ...]

    @classmethod
    def of(cls, table: LargeTable, policies: Sequence[Policy], min_coverage: float) -> Self:
        """Leaves out what cannot be evaluated.

        Raises:
            TableError: Fewer than two arms are scored on enough queries.
            PolicyError: No policy can be run.
        """
        kept, dropped = covered(table, min_coverage)
        if len(kept.arms) < 2:
            msg = f"only one arm ({kept.arm_names[0]}): there is nothing to route between"
            raise TableError(msg, field="llm")
        judge = any(policy.judge for policy in policies) and kept.has_judge
        shares = kept.judged().sums.coverage() if judge else None
        able, skipped = runnable(policies, min_coverage, judged=shares, has_costs=kept.has_costs)
        judging = any(policy.judge for policy in able)
        arms = scored_arms(shares or {}, min_coverage) if judging else []
        return cls(kept, dropped, tuple(able), skipped, tuple(arms))

    def kinds(self) -> list[tuple[bool, tuple[Policy, ...]]]:
        """Kinds of quality, whether the judge's, and the policies on each."""
        every = [
            (kind, tuple(p for p in self.policies if p.judge == kind)) for kind in (False, True)
        ]
        return [(kind, policies) for kind, policies in every if policies]
