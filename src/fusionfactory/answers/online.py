"""Single responses, as the gateway holds them: their keys, and whether two agree."""

from __future__ import annotations

from fusionfactory.answers.kinds import make_equivalence

__all__ = ["equivalent", "key"]


def key(metric: str, response: str, *, question: str = "") -> str | None:
    """The canonical form of what a response answers; None where it gives no answer.

    Responses of equal keys are equivalent. The reverse holds for letters and literals only: of
    numbers and expressions, ask `equivalent`.

    Raises:
        UnknownNameError: The metric is unknown.
    """
    answer = make_equivalence(metric).read(question, response)
    return None if answer is None else answer.key


def equivalent(metric: str, one: str, other: str, *, question: str = "") -> bool:
    """Whether two responses to one question give the same answer; not if either gives none.

    Raises:
        UnknownNameError: The metric is unknown.
    """
    equivalence = make_equivalence(metric)
    first, second = (equivalence.read(question, response) for response in (one, other))
    if first is None or second is None:
        return False
    return first.key == second.key or equivalence.same(first, second)
