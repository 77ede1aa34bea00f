"""A request on its way through the routing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.errors import PolicyError

if TYPE_CHECKING:
    from fusionfactory.gateway.routing.ask import Ask
    from fusionfactory.gateway.routing.estimation import Question
    from fusionfactory.gateway.routing.served import Served
    from fusionfactory.policy import Policy

__all__ = ["Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, and who can answer.

    Attributes:
        ask: What came.
        policy: The trade-off.
        question: Its text.
        excluded: Arm to the reason why it cannot answer, or should not at present.
        resting: Of these, the arms that come last rather than never.
        own: The arm that its conversation has; None where that cannot answer.
    """

    ask: Ask
    policy: Policy
    question: Question
    excluded: dict[str, str]
    resting: frozenset[str]
    own: str | None

    def columns(self, served: Served) -> tuple[int, ...]:
        """Those of the router's arms that can answer.

        Raises:
            PolicyError: None can.
        """
        if not self.excluded:
            return served.every
        able = tuple([i for i, name in enumerate(served.names) if name not in self.excluded])
        if not able:
            msg = "none of the arms that the router knows can answer this"
            raise PolicyError(msg)
        return able
