"""State: what a plan knows of some queries while it runs; the same offline and online."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.plans.ballots import Ballots

if TYPE_CHECKING:
    from fusionfactory.plans.competence import Outlook
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Advice", "State"]


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next with every query.

    Attributes:
        call: (n, m) arms to ask now; an empty row means stop.
        answer: (n,) column of the arm whose answer stands best so far; -1 before any was asked.
        confidence: (n,) probability that this answer is right.
    """

    call: BoolArray
    answer: IntArray
    confidence: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """n queries with what m arms said so far.

    Attributes:
        outlook: What was expected of every arm before any was asked.
        asked: (n, m).
        groups: (n, m) number of the answer group, from 0 per query; -1 without an answer.
        lengths: (n, m) characters of the response; NaN without one.
    """

    outlook: Outlook
    asked: BoolArray
    groups: IntArray
    lengths: FloatArray

    @classmethod
    def fresh(cls, outlook: Outlook) -> State:
        """Before any arm was asked."""
        shape = outlook.log_odds.shape
        return cls(outlook, np.zeros(shape, bool), np.full(shape, -1), np.full(shape, np.nan))

    def __len__(self) -> int:
        return len(self.asked)

    def told(self, call: BoolArray, groups: IntArray, lengths: FloatArray) -> State:
        """The state after the called arms answered; other cells of the arrays are not read.

        Args:
            call: (n, m) arms that were asked now.
            groups: (n, m) groups of their answers, numbered as those before.
            lengths: (n, m) characters of their responses.
        """
        return replace(
            self,
            asked=self.asked | call,
            groups=np.where(call, groups, self.groups),
            lengths=np.where(call, lengths, self.lengths),
        )

    def ballots(self) -> Ballots:
        """The answers that stand."""
        return Ballots.of(self.groups, self.asked)

    def rows(self, index: IntArray | BoolArray) -> State:
        """The state of these queries."""
        return State(
            self.outlook.rows(index), self.asked[index], self.groups[index], self.lengths[index]
        )
