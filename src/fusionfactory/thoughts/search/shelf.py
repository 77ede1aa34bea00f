"""The rows of an index: unit vectors by task and id, so that a task's rows lie side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import ThoughtError
from fusionfactory.thoughts.search.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Shelf", "id_numbers", "unit_vectors"]

_CHUNK = 65536
_SCREENED = 8192
_HEX = frozenset("0123456789abcdef")
_ID_DIGITS = 16


@dataclass(frozen=True)
class Shelf:
    """n rows. Never changed, so that a search sees one shelf from end to end.

    Attributes:
        ids: (n,) uint64, each once: a template's id as a number, which sorts as the ids do.
        rows: (n, d) float32 of length 1, or of zeros.
        tasks: t names of tasks in order; None, of templates without a task, is the first if any.
        starts: (t + 1,) where each task's rows begin.
    """

    ids: IntArray
    rows: FloatArray
    tasks: tuple[str | None, ...]
    starts: IntArray

    @classmethod
    def of(cls, ids: IntArray, rows: FloatArray, tasks: Sequence[str | None]) -> Shelf:
        """A shelf of rows in any order; the task of an empty name is none."""
        names = sorted({task or "" for task in tasks})
        numbers = {name: i for i, name in enumerate(names)}
        codes = np.array([numbers[task or ""] for task in tasks], dtype=np.int64)
        order = np.lexsort((ids, codes))
        starts = np.searchsorted(codes[order], np.arange(len(names) + 1))
        return cls(ids[order], rows[order], tuple(name or None for name in names), starts)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The ids as templates have them."""
        return tuple(f"{number:0{_ID_DIGITS}x}" for number in self.ids.tolist())

    @cached_property
    def by_id(self) -> IntArray:
        """(n,) rows in the order of ids."""
        return np.argsort(self.ids)

    @cached_property
    def rank(self) -> IntArray:
        """(n,) the place of every row in the order of ids."""
        rank = np.empty(len(self), dtype=np.int64)
        rank[self.by_id] = np.arange(len(self))
        return rank

    @cached_property
    def task_numbers(self) -> dict[str, int]:
        """Name to number of every task that has a name."""
        return {task: number for number, task in enumerate(self.tasks) if task}

    @property
    def everything(self) -> slice:
        """All rows."""
        return slice(0, len(self))

    def part(self, number: int) -> slice:
        """The rows of a task."""
        return slice(int(self.starts[number]), int(self.starts[number + 1]))

    def screen(self, rows: slice) -> Screen | None:
        """The screen of some rows; None where they are too few to need one."""
        return self._screen.part(rows) if rows.stop - rows.start >= _SCREENED else None

    @cached_property
    def _screen(self) -> Screen:
        return Screen.of(self.rows)

    def prepared(self) -> Shelf:
        """The shelf, after what the first search would wait for."""
        self.screen(self.everything)
        return self

    def find(self, ids: IntArray) -> IntArray:
        """The row of each id number; -1 where there is none."""
        if not len(self):
            return np.full(ids.shape, -1, dtype=np.int64)
        place = np.searchsorted(self.ids, ids, sorter=self.by_id)
        rows = self.by_id[np.minimum(place, len(self) - 1)]
        return np.where(self.ids[rows] == ids, rows, -1)

    def rows_of(self, ids: Iterable[str]) -> IntArray:
        """The row of each template's id.

        Raises:
            ThoughtError: There is no such template.
        """
        told = list(ids)
        rows = self.find(id_numbers(told))
        if (rows < 0).any():
            msg = f"no template {told[int(rows.argmin())]!r} in the index"
            raise ThoughtError(msg, field="ids")
        return rows

    def keeping(self, kept: BoolArray) -> Shelf:
        """The shelf of some of the rows."""
        tasks = [task for task, keep in zip(self._task_list(), kept, strict=True) if keep]
        return Shelf.of(self.ids[kept], self.rows[kept], tasks)

    def joined(self, other: Shelf) -> Shelf:
        """The shelf of both, which have no id in common."""
        return Shelf.of(
            np.concatenate([self.ids, other.ids]),
            np.concatenate([self.rows, other.rows]),
            [*self._task_list(), *other._task_list()],
        )

    def _task_list(self) -> list[str | None]:
        sizes = np.diff(self.starts).tolist()
        return [task for task, size in zip(self.tasks, sizes, strict=True) for _ in range(size)]


def id_numbers(ids: Sequence[str]) -> IntArray:
    """(n,) uint64: templates' ids as numbers.

    Raises:
        ThoughtError: A text is not 16 hexadecimal digits.
    """
    for told in ids:
        if len(told) != _ID_DIGITS or not _HEX.issuperset(told):
            msg = f"{told!r} is no template's id: expected {_ID_DIGITS} hexadecimal digits"
            raise ThoughtError(msg, field="ids")
    return np.array([int(told, 16) for told in ids], dtype=np.uint64)


def unit_vectors(vectors: FloatArray, count: int | None, what: str) -> FloatArray:
    """(n, d) float32 rows of length 1; rows of zeros stay.

    Args:
        vectors: (n, d) of any length.
        count: What n must be; None for any.
        what: What a row stands for, for the message.

    Raises:
        ThoughtError: The shape is another, or a number is not finite.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or count not in {None, len(vectors)}:
        expected = f"({'n' if count is None else count}, d)"
        msg = f"has shape {vectors.shape}, expected {expected}: one row per {what}"
        raise ThoughtError(msg, field="vectors")
    rows = np.empty(vectors.shape, dtype=np.float32)
    for start in range(0, len(vectors), _CHUNK):
        part = vectors[start : start + _CHUNK].astype(np.float64)
        largest = np.abs(part).max(axis=1, initial=0.0)
        if not np.isfinite(largest).all():
            msg = f"holds a number that is not finite, in the vector of a {what}"
            wrong = int((~np.isfinite(largest)).argmax())
            raise ThoughtError(msg, row=start + wrong + 1, field="vectors")
        part /= np.where(largest > 0, largest, 1.0)[:, None]
        norms = np.sqrt((part**2).sum(axis=1, keepdims=True))
        rows[start : start + _CHUNK] = part / np.where(norms > 0, norms, 1.0)
    return rows
