"""A router's exam: what edits and triggers do to its decisions, and how these spread over arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from fusionfactory.errors import TableError
from fusionfactory.robustness.ceilings import Ceilings, ceilings
from fusionfactory.robustness.collapse import Spread, spread
from fusionfactory.robustness.consistency import Shift, consistency, decided
from fusionfactory.robustness.triggers import Attack, attack, dearest, find_trigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.policy import Policy
    from fusionfactory.robustness.triggers import Place
    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable

__all__ = ["Exam", "Robustness", "examine"]

_PLACES: tuple[Place, ...] = ("suffix", "prefix")


@dataclass(frozen=True, slots=True)
class Exam:
    """What one router did with its decisions.

    Attributes:
        router: As it is called.
        shifts: One per edit, the most flips first.
        attacks: By a suffix and by a prefix, found on the train side, towards the dearest arm.
        spread: Of the decisions on the test side as it is.
        top: Name of the arm chosen most often.
    """

    router: str
    shifts: list[Shift]
    attacks: list[Attack]
    spread: Spread
    top: str

    def to_json(self) -> dict[str, Any]:
        """Plain values, and which limit of collapse is passed for certain, if one is."""
        return {
            "router": self.router,
            "shifts": [shift.to_json() for shift in self.shifts],
            "attacks": [attack.to_json() for attack in self.attacks],
            "spread": self.spread.to_json() | {"top": self.top},
            "collapsed": self.spread.collapsed(),
        }


def examine(
    router: Router,
    train: OutcomeTable,
    test: OutcomeTable,
    policy: Policy,
    *,
    name: str = "",
    seed: int = 0,
    draws: int = 1000,
) -> Exam:
    """Tries all edits and a trigger at either end on a fitted router.

    Args:
        router: Fitted on the train side.
        train: What triggers are searched on.
        test: Held-out queries with the outcomes of at least the router's arms.
        policy: To choose by.
        name: What the router is called; its own name by default.
        seed: Of edits, searches and resamples.
        draws: Bootstrap resamples.

    Raises:
        NotFittedError: The router is not fitted.
        TableError: The test side lacks an arm of the router.
    """
    target = dearest(router, train.texts)
    attacks = []
    for place in _PLACES:
        trigger = find_trigger(router, train.texts, policy, target, place=place, seed=seed)
        attacks.append(attack(router, test, policy, trigger, draws=draws))
    chosen = spread(decided(router, test.texts, policy), len(router.arms_))
    return Exam(
        name or router.name,
        consistency(router, test, policy, seed=seed, draws=draws),
        attacks,
        chosen,
        router.arms_[chosen.top].name,
    )


@dataclass(frozen=True, slots=True)
class Robustness:
    """Exams of routers on one split, and the ceilings of the arms that they choose between.

    Attributes:
        policy: Name of the policy that they chose by.
        seed: Of the split.
        queries: On the test side.
        exams: One per router, at least one.
        ceilings: Of the whole table; None where no query was answered by every arm.
    """

    policy: str
    seed: int
    queries: int
    exams: list[Exam]
    ceilings: Ceilings | None

    @classmethod
    def of(cls, exams: Sequence[Exam], table: OutcomeTable, policy: Policy, seed: int) -> Self:
        """With the ceilings of a table.

        Args:
            exams: On its test side.
            table: Both sides, which tell more of the arms than the test side alone.
            policy: That the routers chose by.
            seed: Of the split.
        """
        try:
            reachable = ceilings(table, seed=seed)
        except TableError:
            reachable = None
        queries = exams[0].spread.decisions
        return cls(policy.name, seed, queries, list(exams), reachable)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "policy": self.policy,
            "seed": self.seed,
            "queries": self.queries,
            "routers": [exam.to_json() for exam in self.exams],
            "ceilings": self.ceilings and self.ceilings.to_json(),
        }
