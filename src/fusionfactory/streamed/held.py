"""The outcomes that routers are tested on, their queries encoded chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.large.digests import draws, group_digests
from fusionfactory.streamed.features import Features

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fusionfactory.encoders import Encoder
    from fusionfactory.large import LargeTable
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import IntArray

__all__ = ["BUCKETS", "TEST_CELLS", "Held", "buckets"]

TEST_CELLS = 4_000_000
"""Cells in memory to test on, all seeds and kinds of quality together."""

BUCKETS = 10_000
"""Groups of near-duplicates that the bootstrap tells apart; more are put together at random."""

_COLUMNS = ("query", "task", "domain", "quality", "judge", "cost_usd")
_CHUNK = 16_384
_DRAW = 2**24


@dataclass(frozen=True, eq=False)
class Held:
    """Outcomes to test on: all of a side, or as many of its queries, drawn at random, as fit.

    Attributes:
        table: In memory, without responses, tokens and latencies.
        queries: Of the whole side.
        folder: Where encoded queries are kept.
    """

    table: OutcomeTable
    queries: int
    folder: Path
    _features: dict[str, Features] = field(default_factory=dict)

    @classmethod
    def of(cls, table: LargeTable, folder: Path, *, cells: int = TEST_CELLS) -> Self:
        """Reads a side.

        Args:
            table: The side.
            folder: See above.
            cells: How many may be in memory; 1 query at least.
        """
        kept = max(1, cells // len(table.arms))
        return cls(table.sample(kept, columns=_COLUMNS), len(table), folder)

    def judged(self, arms: Sequence[str]) -> Self:
        """The same queries with the judge's scores in the place of quality, on these arms."""
        return replace(self, table=self.table.select_arms(arms).judged())

    @cached_property
    def groups(self) -> NDArray[np.uint64]:
        """(n,) digests that near-duplicates share."""
        return group_digests(self.table.queries["query"]).to_numpy()

    def features(self, name: str, encoder: Encoder) -> Features:
        """The queries' rows by a fitted encoder, which has a name of its own."""
        if name not in self._features:
            folder = self.folder / f"encoder-{len(self._features)}"
            self._features[name] = Features(lambda: self, encoder, folder)
        return self._features[name]

    def __iter__(self) -> Iterator[list[str]]:
        """The queries' texts, a chunk at a time."""
        queries = self.table.queries["query"]
        for start in range(0, len(queries), _CHUNK):
            yield queries[start : start + _CHUNK].to_list()


def buckets(sides: Sequence[Held]) -> tuple[int, list[IntArray]]:
    """What a bootstrap over several test sides resamples.

    Returns:
        How many buckets, and of every side the (n,) bucket of each query. Near-duplicates share
        one. With no more than `BUCKETS` groups every group is a bucket of its own; beyond, groups
        are put together at random, which leaves the interval's width what it was but for noise.
    """
    known = np.unique(np.concatenate([side.groups for side in sides]))
    if len(known) <= BUCKETS:
        return len(known), [np.searchsorted(known, side.groups) for side in sides]
    # By a draw of their own: those of one split's test side would fill but a part of the buckets.
    return BUCKETS, [(draws(side.groups, _DRAW) * BUCKETS).astype(np.int64) for side in sides]
