"""Ballots: which answers stand after some arms were asked, and who voted for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Ballots", "Leaders"]


@dataclass(frozen=True, slots=True, eq=False)
class Leaders:
    """The best answer of every query.

    Attributes:
        ballot: (n,) row of the ballots; -1 where no answer stands.
        first: (n,) its value; 0 where no answer stands.
        second: (n,) the next best value; 0 where there is none.
    """

    ballot: IntArray
    first: FloatArray
    second: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Ballots:
    """One row for every query and answer that stands, by query and the first arm that gave it.

    Attributes:
        query: (c,) row of the query.
        votes: (c, m) which arms gave the answer.
        answered: (n, m) which arms were asked and gave any answer.
    """

    query: IntArray
    votes: BoolArray
    answered: BoolArray

    @classmethod
    def of(cls, groups: IntArray, asked: BoolArray) -> Ballots:
        """The ballots of (n, m) answer groups, -1 without an answer, among the arms asked."""
        groups = np.where(asked, groups, -1)
        numbers = np.arange(groups.max(initial=-1) + 1)
        member = groups[:, None, :] == numbers[None, :, None]
        query, number = np.nonzero(member.any(axis=2))
        votes = member[query, number]
        # Groups may be numbered by arms that were not asked, which must not break a tie.
        order = np.lexsort((votes.argmax(axis=1), query))
        return cls(query[order], votes[order], groups >= 0)

    def __len__(self) -> int:
        return len(self.query)

    def total(self, values: FloatArray) -> FloatArray:
        """(n,) sums of (c,) values over the answers of every query."""
        total = np.bincount(self.query, weights=values, minlength=len(self.answered))
        return np.asarray(total, dtype=np.float64)

    def supported(self, values: FloatArray) -> FloatArray:
        """(c,) mean of (n, m) values over the arms that gave the answer; NaN cells do not count.

        An answer none of whose arms has a value gets 0.
        """
        own = values[self.query]
        known = self.votes & ~np.isnan(own)
        count = known.sum(axis=1)
        total = np.where(known, own, 0.0).sum(axis=1)
        return np.asarray(total / np.maximum(count, 1))

    def leaders(self, values: FloatArray) -> Leaders:
        """The answers of the highest (c,) values; of equal ones the earlier ballot leads."""
        n = len(self.answered)
        order = np.lexsort((-values, self.query))
        query = self.query[order]
        head = np.r_[True, query[1:] != query[:-1]][: len(query)]
        runner = np.r_[False, head[:-1]][: len(query)] & ~head
        found = Leaders(np.full(n, -1), np.zeros(n), np.zeros(n))
        found.ballot[query[head]] = order[head]
        found.first[query[head]] = values[order[head]]
        found.second[query[runner]] = values[order[runner]]
        return found
