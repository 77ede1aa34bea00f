"""What the routing needs to know of a request, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.log.record import Why
    from fusionfactory.policy import Policy

__all__ = ["Ask", "Decider", "Routed"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as the router sees it.

    Attributes:
        text: What is asked: see `conversation.user_text`.
        model: `auto`, `auto:...`, an arm's or a model's name.
        policy: The client's own trade-off, by header or body; None for the one that `model` names.
        needs: Of `tools`, `images`, `json`, `logprobs`, `n`, what the answer has to support.
        input_tokens: Of the whole conversation with its tools, estimated.
        output_tokens: Longest answer that the client allows; None where it does not say.
        session: Of the conversation; None where it is in none.
        allowed: Models that the client's key may use; None for all.
        metric: By which a plan is to compare answers; None for that of a task.
        task: The training task that a plan is to take the question to be of; None where it finds
            out by itself.
        barred: Plan to the reason why it may not be chosen for it.
    """

    text: str
    model: str
    policy: Policy | None = None
    needs: frozenset[str] = frozenset()
    input_tokens: int = 0
    output_tokens: int | None = None
    session: str | None = None
    allowed: frozenset[str] | None = None
    metric: str | None = None
    task: str | None = None
    barred: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Routed:
    """Who is to answer, and why.

    Attributes:
        arms: Names of arms, in the order in which they are tried; the first one is chosen, and is
            the plan where that answers.
        why: Why the first one is.
        policy: Name of the trade-off; None where the client named the arm.
        router: Version of the router; None where none decided.
        propensity: Probability with which the first arm was chosen; None where no router decided.
        propensities: Arm to its probability.
        estimates: Arm to expected quality and USD (None when unknown).
        excluded: Arm to the reason why it cannot answer.
        shadow: Version of a shadow router to the arm that it would have chosen.
        plan: Name of the plan that was to answer, though it be excluded; None where none was.
    """

    arms: tuple[str, ...]
    why: Why
    policy: str | None = None
    router: str | None = None
    propensity: float | None = None
    propensities: dict[str, float] = field(default_factory=dict)
    estimates: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    shadow: dict[str, str] = field(default_factory=dict)
    plan: str | None = None


class Decider(Protocol):
    """Decides who answers."""

    async def decide(self, ask: Ask) -> Routed:
        """The arms to try. Never fails for the router's sake: then a default arm answers.

        Raises:
            Refusal: No arm can answer: the model is unknown, forbidden, or nothing has what is
                needed (404, 403, 400).
        """
        ...

    def answered(self, session: str | None, arm: str, /) -> None:
        """Another arm than the chosen one answered: the conversation goes on with that."""
        ...
