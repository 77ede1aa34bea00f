"""One search of an index: which rows each query is compared with, and what it finds there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.thoughts.search.nearest import nearest, ranked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.thoughts.search.approximate import Graph
    from fusionfactory.thoughts.search.bans import Bans
    from fusionfactory.thoughts.search.shelf import Shelf
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["EXACT_ROWS", "VOTERS", "Lookup", "Neighbours"]

EXACT_ROWS = 1_000_000
"""Rows that are compared one by one even where there is a graph to search instead."""

VOTERS = 10
"""Nearest templates that vote on a query's task."""

_SPARE = 16


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """What was found for q queries.

    Attributes:
        rows: (q, k) rows of the index, the most similar first, of equally similar ones the lowest
            id; -1 where there are fewer than k.
        similarity: (q, k) cosines; NaN where there are fewer.
        tasks: Per query the task that was searched; None where it was all of them.
        confidence: (q,) share of the votes for the predicted task, whether it was searched alone
            or not; 1 where the task was given, NaN where nobody voted.
    """

    rows: IntArray
    similarity: FloatArray
    tasks: tuple[str | None, ...]
    confidence: FloatArray


class Lookup:
    """Finds the nearest rows of some queries, group by group of those that search the same rows.

    Args:
        shelf: What is searched.
        graph: Of the same rows, for approximate answers; None for exact ones.
        queries: (q, d) float32 of length 1 or 0; of zeros, nothing is found.
        k: Neighbours of each.
        banned: Rows that a query may not find.
    """

    def __init__(
        self, shelf: Shelf, graph: Graph | None, queries: FloatArray, k: int, banned: Bans
    ) -> None:
        self._shelf, self._graph, self._queries = shelf, graph, queries
        self._k, self._banned = k, banned
        self._rows = np.full((len(queries), k), -1, dtype=np.int64)
        self._similarity = np.full((len(queries), k), np.nan)
        self._tasks: list[str | None] = [None] * len(queries)
        self._confidence = np.full(len(queries), np.nan)

    def found(self) -> Neighbours:
        """Everything so far."""
        return Neighbours(self._rows, self._similarity, tuple(self._tasks), self._confidence)

    def everywhere(self) -> None:
        """Searches all rows for every query."""
        who = np.arange(len(self._queries))
        self._put(who, *self._nearest(who, self._shelf.everything, self._k))

    def by_task(self, tasks: Sequence[str | None], least: float) -> None:
        """Searches each query's task, given or predicted, else all rows.

        Args:
            tasks: A name per query; None, or one without a row, is predicted.
            least: Confidence that a prediction must exceed to be used.
        """
        known = self._shelf.task_numbers
        numbers = np.array([known.get(task or "", -1) for task in tasks], dtype=np.int64)
        self._confidence[numbers >= 0] = 1.0
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            numbers[unknown] = self._predict(unknown, least)
        for number in np.unique(numbers[numbers >= 0]).tolist():
            who = np.flatnonzero(numbers == number)
            for query in who.tolist():
                self._tasks[query] = self._shelf.tasks[number]
            self._put(who, *self._nearest(who, self._shelf.part(number), self._k))

    def _predict(self, who: IntArray, least: float) -> IntArray:
        """The number of each query's task; -1 where the votes say too little: those are done."""
        rows, similarity = self._nearest(who, self._shelf.everything, max(self._k, VOTERS))
        self._put(who, rows[:, : self._k], similarity[:, : self._k])
        weight = np.clip(np.nan_to_num(similarity[:, :VOTERS]), 0.0, None)
        task = np.searchsorted(self._shelf.starts, rows[:, :VOTERS], side="right") - 1
        votes = np.zeros((len(who), max(len(self._shelf.tasks), 1)))
        np.add.at(votes, (np.arange(len(who))[:, None], np.maximum(task, 0)), weight)
        total = votes.sum(axis=1)
        votes[:, [number for number, name in enumerate(self._shelf.tasks) if name is None]] = 0.0
        share = np.full(len(who), np.nan)
        np.divide(votes.max(axis=1), total, out=share, where=total > 0)
        self._confidence[who] = share
        return np.where(share > max(least, 0.0), votes.argmax(axis=1), -1)

    def _nearest(self, who: IntArray, part: slice, k: int) -> tuple[IntArray, FloatArray]:
        queries = self._queries[who]
        if self._graph is not None and self._roundabout(part):
            rows, similarity = self._through_graph(who, queries, part, k)
        else:
            banned = self._banned.within(part, who)
            rank, screen = self._shelf.rank[part], self._shelf.screen(part)
            rows, similarity = nearest(self._shelf.rows[part], queries, k, rank, banned, screen)
            rows[rows >= 0] += part.start
        silent = ~queries.any(axis=1)
        rows[silent], similarity[silent] = -1, np.nan
        return rows, np.clip(similarity, -1.0, 1.0)

    def _roundabout(self, part: slice) -> bool:
        """Whether the graph is asked: over all, and in a task too large to compare row by row."""
        size: int = part.stop - part.start
        return size > EXACT_ROWS or 0 < size == len(self._shelf)

    def _through_graph(
        self, who: IntArray, queries: FloatArray, part: slice, k: int
    ) -> tuple[IntArray, FloatArray]:
        assert self._graph is not None  # noqa: S101  asked by `_nearest`
        banned = self._banned.within(self._shelf.everything, who)
        most = int(np.bincount(banned.queries, minlength=1).max())
        wanted = (k + most + _SPARE) * len(self._shelf) // (part.stop - part.start)
        count = min(wanted, len(self._shelf))
        rows = self._shelf.find(self._graph.search(queries, count))
        rows = np.where((rows >= part.start) & (rows < part.stop), rows, -1)
        return ranked(self._shelf.rows, queries, rows, k, self._shelf.rank, banned)

    def _put(self, who: IntArray, rows: IntArray, similarity: FloatArray) -> None:
        self._rows[who], self._similarity[who] = rows, similarity
