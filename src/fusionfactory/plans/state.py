"""State: what a plan knows of some queries while it runs; the same offline and online."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.plans.ballots import Ballots

if TYPE_CHECKING:
    from fusionfactory.plans.competence import Outlook
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Advice", "Said", "State"]


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
class Said:
    """What m arms said to n queries.

    Attributes:
        groups: (n, m) number of the answer group, from 0 per query; -1 without an answer.
        lengths: (n, m) characters of the response; NaN without one.
        reading: (n, m) log-odds that the answer is right by its text alone: see `Reader`.
    """

    groups: IntArray
    lengths: FloatArray
    reading: FloatArray

    def columns(self, index: IntArray) -> Said:
        """Of these arms, in this order."""
        return Said(self.groups[:, index], self.lengths[:, index], self.reading[:, index])


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """n queries with what m arms said so far.

    Attributes:
        outlook: What was expected of every arm before any was asked.
        asked: (n, m).
        groups: (n, m) number of the answer group, from 0 per query; -1 without an answer.
        lengths: (n, m) characters of the response; NaN without one.
        reading: (n, m) as in `Said`; 0 where nothing was said.
    """

    outlook: Outlook
    asked: BoolArray
    groups: IntArray
    lengths: FloatArray
    reading: FloatArray

    @classmethod
    def fresh(cls, outlook: Outlook) -> State:
        """Before any arm was asked."""
        shape = outlook.log_odds.shape
        silence = np.full(shape, -1), np.full(shape, np.nan), np.zeros(shape)
        return cls(outlook, np.zeros(shape, bool), *silence)

    def __len__(self) -> int:
        return len(self.asked)

    def told(self, call: BoolArray, said: Said) -> State:
        """The state after the called arms answered; other cells of the arrays are not read.

        Args:
            call: (n, m) arms that were asked now.
            said: Their answers, the groups numbered as those before.
        """
        return replace(
            self,
            asked=self.asked | call,
            groups=np.where(call, said.groups, self.groups),
            lengths=np.where(call, said.lengths, self.lengths),
            reading=np.where(call, said.reading, self.reading),
        )

    def ballots(self) -> Ballots:
        """The answers that stand."""
        return Ballots.of(self.groups, self.asked)

    def rows(self, index: IntArray | BoolArray) -> State:
        """The state of these queries."""
        return State(
            self.outlook.rows(index),
            self.asked[index],
            self.groups[index],
            self.lengths[index],
            self.reading[index],
        )
