"""What a query may not find: pairs of a row and a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import IntArray

__all__ = ["Bans", "bans"]


class Bans(NamedTuple):
    """What may not be found, by position.

    Attributes:
        rows: Positions, ascending.
        queries: For each of them, the number of the query that may not find it.
    """

    rows: IntArray
    queries: IntArray

    def within(self, rows: slice, queries: slice | IntArray) -> Bans:
        """Those of a range of rows and of some queries, in the numbers of the parts."""
        low, high = np.searchsorted(self.rows, [rows.start, rows.stop])
        at, who = self.rows[low:high] - rows.start, self.queries[low:high]
        if isinstance(queries, slice):
            kept = (who >= queries.start) & (who < queries.stop)
            return Bans(at[kept], who[kept] - queries.start)
        place = np.searchsorted(queries, who)
        kept = place < len(queries)
        kept[kept] = queries[place[kept]] == who[kept]
        return Bans(at[kept], place[kept])


def bans(excluded: Sequence[Sequence[int] | IntArray] | None) -> Bans:
    """The bans of each query's excluded rows."""
    lists = [np.asarray(rows, dtype=np.int64).ravel() for rows in excluded or ()]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *lists])
    queries = np.repeat(np.arange(len(lists)), [len(rows) for rows in lists])
    order = np.argsort(rows, kind="stable")
    return Bans(rows[order], queries[order])
