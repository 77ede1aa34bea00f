"""A line-up: the candidates' different answers to one question, and what a judge makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusionfactory.judge.lineup import (
    LETTERS,
    arranged,
    parse_pick,
    pick_messages,
    synthesis_messages,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.clients import Message

__all__ = ["Lineup"]


@dataclass(frozen=True, slots=True)
class Lineup:
    """What a judge is asked about one question.

    Attributes:
        row: Of the query.
        question: Its text.
        shown: One response of every different answer.
        turns: How many times it is asked, each time in another order.
        synthesis: Whether a new answer is wanted rather than a pick.
    """

    row: int
    question: str
    shown: tuple[str, ...]
    turns: int
    synthesis: bool

    @classmethod
    def of(
        cls,
        question: str,
        responses: Sequence[str | None],
        groups: Sequence[int],
        *,
        turns: int,
        synthesis: bool,
        row: int = 0,
    ) -> Lineup | None:
        """The line-up of m responses in m groups; None where fewer than two answers differ."""
        first: dict[int, str] = {}
        for response, group in zip(responses, groups, strict=True):
            if group >= 0 and response is not None:
                first.setdefault(int(group), response)
        shown = tuple(first.values())[: len(LETTERS)]
        if len(shown) < 2:
            return None
        return cls(row, question, shown, 1 if synthesis else turns, synthesis)

    @classmethod
    def across(
        cls,
        questions: Sequence[str],
        responses: Sequence[Sequence[str | None]],
        groups: Sequence[Sequence[int]],
        *,
        turns: int,
        synthesis: bool,
    ) -> list[Lineup]:
        """The line-ups of n questions, of those where answers differ."""
        found = (
            cls.of(*given, turns=turns, synthesis=synthesis, row=row)
            for row, given in enumerate(zip(questions, responses, groups, strict=True))
        )
        return [lineup for lineup in found if lineup is not None]

    def prompts(self) -> tuple[tuple[Message, ...], ...]:
        """The messages of every call."""
        make = synthesis_messages if self.synthesis else pick_messages
        return tuple(
            make(self.question, [self.shown[i] for i in order]) for order in self._orders()
        )

    def heard(self, replies: Sequence[str | None]) -> str | None:
        """The response that the replies stand for.

        Args:
            replies: To `prompts`; None for a failed call.

        Returns:
            The answer that all replies pick, or the new one; None where a reply is missing or
            unclear, or they pick different ones: the order decided, not the judge.
        """
        if self.synthesis:
            return replies[0]
        picked = set(self.picks(replies))
        if len(picked) != 1:
            return None
        (chosen,) = picked
        return None if chosen is None else self.shown[chosen]

    def picks(self, replies: Sequence[str | None]) -> list[int | None]:
        """Place in `shown` of what each reply picks; None where it is missing or unclear."""
        found: list[int | None] = []
        for order, reply in zip(self._orders(), replies, strict=True):
            place = None if reply is None else parse_pick(reply, len(order))
            found.append(None if place is None else order[place])
        return found

    def _orders(self) -> list[list[int]]:
        return [arranged(self.question, len(self.shown), turn) for turn in range(self.turns)]
