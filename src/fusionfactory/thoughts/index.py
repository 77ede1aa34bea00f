"""The index of a bank: the templates whose questions are most similar to a query, by cosine.

Exact (`thoughts.nearest`). Within the query's task where it is known; else within the task that
the nearest templates agree on, or over all where they do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fusionfactory.encoders import Encoder
from fusionfactory.errors import InputError, ThoughtError
from fusionfactory.estimator import Estimator
from fusionfactory.sealed import SealedState
from fusionfactory.thoughts.nearest import Bans, bans, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.thoughts.template import ThoughtTemplate
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["LEAST_CONFIDENCE", "Neighbours", "ThoughtIndex"]

LEAST_CONFIDENCE = 0.5
"""Share of the votes that the predicted task must have to be searched alone, unless told."""

_VOTERS = 10
_FILES = SealedState("index", 1, ThoughtError)
_CHUNK = 65536


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


@dataclass(frozen=True)
class _Shelf:
    """The rows, by task and then by id. Never changed: a search sees one shelf from end to end."""

    ids: IntArray
    rows: FloatArray
    tasks: tuple[str | None, ...]
    starts: IntArray

    @classmethod
    def of(cls, ids: IntArray, rows: FloatArray, tasks: Sequence[str | None]) -> _Shelf:
        names = sorted({task or "" for task in tasks})
        numbers = {name: i for i, name in enumerate(names)}
        codes = np.array([numbers[task or ""] for task in tasks], dtype=np.int64)
        order = np.lexsort((ids, codes))
        starts = np.searchsorted(codes[order], np.arange(len(names) + 1))
        known = tuple(name or None for name in names)
        return cls(ids[order], rows[order], known, starts)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{number:016x}" for number in self.ids.tolist())

    @cached_property
    def rank(self) -> IntArray:
        """The place of every row in the order of ids."""
        rank = np.empty(len(self.ids), dtype=np.int64)
        rank[np.argsort(self.ids)] = np.arange(len(self.ids))
        return rank

    @cached_property
    def task_numbers(self) -> dict[str, int]:
        return {task: number for number, task in enumerate(self.tasks) if task}

    def part(self, number: int) -> slice:
        return slice(int(self.starts[number]), int(self.starts[number + 1]))

    def task_list(self) -> list[str | None]:
        sizes = np.diff(self.starts).tolist()
        return [task for task, size in zip(self.tasks, sizes, strict=True) for _ in range(size)]


class ThoughtIndex:
    """Rows of length 1, one per template; made by `build` or `load`.

    A search runs on what was there when it began, even if another thread adds or deletes meanwhile.
    """

    def __init__(self, shelf: _Shelf, encoder: Encoder | None) -> None:
        self._shelf, self._encoder = shelf, encoder

    @classmethod
    def build(
        cls,
        templates: Sequence[ThoughtTemplate],
        vectors: FloatArray,
        encoder: Encoder | None = None,
    ) -> Self:
        """An index of templates.

        Args:
            templates: Each at most once.
            vectors: (n, d) embeddings of their questions, of any length; a row of zeros is similar
                to nothing, and found last.
            encoder: The fitted encoder that made them; it is saved with the index.

        Raises:
            ThoughtError: The shapes do not fit, a number is not finite, or an id occurs twice.
        """
        ids = _numbers([template.id for template in templates])
        rows = _unit(vectors, len(templates), "template")
        distinct, counts = np.unique(ids, return_counts=True)
        if len(distinct) < len(ids):
            msg = f"template {int(distinct[counts > 1][0]):016x} is there twice: give it once"
            raise ThoughtError(msg, field="templates")
        return cls(_Shelf.of(ids, rows, [template.task for template in templates]), encoder)

    def __len__(self) -> int:
        return len(self._shelf.ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """The template's id of every row."""
        return self._shelf.names

    @property
    def dim(self) -> int:
        """Columns of a row."""
        return int(self._shelf.rows.shape[1])

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that have templates."""
        return tuple(self._shelf.task_numbers)

    @property
    def encoder(self) -> Encoder:
        """What turns a query's text into a vector to search for.

        Raises:
            ThoughtError: The index was built without one.
        """
        if self._encoder is None:
            msg = "the index was built without its encoder: give one to ThoughtIndex.build"
            raise ThoughtError(msg, field="encoder")
        return self._encoder

    def rows_of(self, ids: Iterable[str]) -> IntArray:
        """The rows of templates, in the order of the ids.

        Raises:
            ThoughtError: An id is not in the index.
        """
        told = list(ids)
        shelf, wanted = self._shelf, _numbers(told)
        order = np.argsort(shelf.ids)
        place = np.minimum(np.searchsorted(shelf.ids[order], wanted), max(len(order) - 1, 0))
        rows = order[place] if len(order) else np.zeros(len(wanted), dtype=np.int64)
        there = shelf.ids[rows] == wanted if len(order) else np.zeros(len(wanted), dtype=bool)
        if not there.all():
            msg = f"no template {told[int(np.argmin(there))]!r} in the index"
            raise ThoughtError(msg, field="ids")
        return np.asarray(rows)

    # Changing

    def add(self, templates: Sequence[ThoughtTemplate], vectors: FloatArray) -> None:
        """Adds templates; one that is there already gets the new vector.

        Rows are numbered anew. One call for many templates costs little more than for one.

        Raises:
            ThoughtError: As `build`, or the vectors have another width than the index.
        """
        new = ThoughtIndex.build(templates, vectors)._shelf
        old = self._shelf
        if not len(new.ids):
            return
        if len(old.ids):
            self._check_width(new.rows)
            kept = ~np.isin(old.ids, new.ids)
            tasks = [t for t, k in zip(old.task_list(), kept, strict=True) if k]
            new = _Shelf.of(
                np.concatenate([old.ids[kept], new.ids]),
                np.concatenate([old.rows[kept], new.rows]),
                [*tasks, *new.task_list()],
            )
        self._shelf = new

    def delete(self, ids: Iterable[str]) -> None:
        """Takes templates out; rows are numbered anew.

        Raises:
            ThoughtError: An id is not in the index; nothing is taken out then.
        """
        kept = np.ones(len(self), dtype=bool)
        kept[self.rows_of(ids)] = False
        old = self._shelf
        tasks = [t for t, k in zip(old.task_list(), kept, strict=True) if k]
        self._shelf = _Shelf.of(old.ids[kept], old.rows[kept], tasks)

    # Searching

    def search(
        self,
        vectors: FloatArray,
        k: int,
        tasks: Sequence[str | None] | None = None,
        *,
        exclude: Sequence[Sequence[int] | IntArray] | None = None,
        over_all: bool = False,
        least_confidence: float = LEAST_CONFIDENCE,
    ) -> Neighbours:
        """The k templates most similar to each query.

        Args:
            vectors: (q, d) of any length. A query of zeros is similar to nothing and finds nothing.
            k: At least 1; where fewer are left, all of them are found.
            tasks: The task of each query. None, or a name that no template has, is predicted from
                the query's 10 nearest templates over all, weighed by their cosines.
            exclude: Per query the rows that it may not find; they have no vote either.
            over_all: Whether to search all templates, whatever the task.
            least_confidence: A predicted task of a lower confidence is not searched alone.

        Raises:
            ThoughtError: The shapes do not fit, a number is not finite, k is below 1, or an
                excluded row does not exist.
        """
        if k < 1:
            msg = f"must be at least 1, got {k}"
            raise ThoughtError(msg, field="k")
        queries = _unit(vectors, None, "query")
        if len(self):
            self._check_width(queries)
        search = _Search(self._shelf, queries, k, _checked_bans(exclude, len(queries), len(self)))
        if tasks is not None and len(tasks) != len(queries):
            msg = f"{len(tasks)} tasks for {len(queries)} queries"
            raise ThoughtError(msg, field="tasks")
        if over_all:
            search.everywhere(np.arange(len(queries)))
        else:
            search.by_task(tasks or [None] * len(queries), least_confidence)
        return search.found()

    def _check_width(self, rows: FloatArray) -> None:
        if rows.shape[1] != self.dim:
            msg = (
                f"have {rows.shape[1]} columns, the index has {self.dim}: encode texts with the "
                "index's own encoder"
            )
            raise ThoughtError(msg, field="vectors")

    # Reading and writing

    def save(self, directory: str | Path) -> None:
        """Writes `index.json` and `index.safetensors`; an older index there is replaced.

        The encoder's fitted state is inside, no template is.
        """
        shelf = self._shelf
        state, tensors = (None, {}) if self._encoder is None else self._encoder.state()
        arrays = {"ids": shelf.ids, "rows": shelf.rows, "starts": shelf.starts}
        content = {
            "templates": len(self),
            "dim": self.dim,
            "tasks": list(shelf.tasks),
            "encoder": None if self._encoder is None else self._encoder.name,
            "state": state,
        }
        named = {f"encoder.{name}": array for name, array in tensors.items()}
        _FILES.write(Path(directory).resolve(), content, {**named, **arrays})

    @classmethod
    def load(cls, directory: str | Path, *, network: bool = False) -> Self:
        """Reads an index that `save` wrote.

        Args:
            directory: Of the bank.
            network: Whether its encoder may send queries, and the API key that it names, to the
                endpoint that it names. Trust such a directory as you would a settings file.

        Raises:
            ThoughtError: A file is missing, damaged, changed, of another version, or wants the
                network without leave.
        """
        directory = Path(directory)
        file = directory / _FILES.manifest
        if not file.exists():
            msg = "no index here: make one by `fusionfactory think index`"
            raise ThoughtError(msg, file=file)
        manifest, tensors = _FILES.read(directory, network=network)
        try:
            shelf = _Shelf(
                tensors["ids"], tensors["rows"], tuple(manifest["tasks"]), tensors["starts"]
            )
            encoder = _encoder(manifest["state"], tensors)
        except (KeyError, TypeError, InputError) as error:
            msg = f"does not fit this version of fusionfactory: {type(error).__name__}: {error}"
            raise ThoughtError(msg, file=file) from error
        return cls(shelf, encoder)


def _encoder(state: Any, tensors: dict[str, Any]) -> Encoder | None:  # noqa: ANN401  JSON
    if state is None:
        return None
    prefix = "encoder."
    own = {name.removeprefix(prefix): a for name, a in tensors.items() if name.startswith(prefix)}
    made = Estimator.from_state(state, own)
    if not isinstance(made, Encoder):
        msg = f"holds a {type(made).__name__} for an encoder"
        raise ThoughtError(msg)
    return made


class _Search:
    """One call of `ThoughtIndex.search`, filled group by group."""

    def __init__(self, shelf: _Shelf, queries: FloatArray, k: int, banned: Bans) -> None:
        self._shelf, self._queries, self._k, self._banned = shelf, queries, k, banned
        count = len(queries)
        self._asking = np.asarray(queries.any(axis=1))
        self._rows = np.full((count, k), -1, dtype=np.int64)
        self._similarity = np.full((count, k), np.nan)
        self._tasks: list[str | None] = [None] * count
        self._confidence = np.full(count, np.nan)

    def found(self) -> Neighbours:
        return Neighbours(self._rows, self._similarity, tuple(self._tasks), self._confidence)

    def by_task(self, tasks: Sequence[str | None], least: float) -> None:
        numbers = np.array([self._shelf.task_numbers.get(t or "", -1) for t in tasks], dtype=int)
        self._confidence[numbers >= 0] = 1.0
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            numbers[unknown] = self._predict(unknown, least)
        for number in np.unique(numbers[numbers >= 0]).tolist():
            who = np.flatnonzero(numbers == number)
            for query in who.tolist():
                self._tasks[query] = self._shelf.tasks[number]
            part = self._shelf.part(number)
            self._put(who, *self._nearest(who, part, self._k))

    def everywhere(self, who: IntArray) -> None:
        self._put(who, *self._nearest(who, slice(0, len(self._shelf.ids)), self._k))

    def _predict(self, who: IntArray, least: float) -> IntArray:
        """The task's number of each query, -1 where the votes say too little; those are done."""
        everything = slice(0, len(self._shelf.ids))
        rows, similarity = self._nearest(who, everything, max(self._k, _VOTERS))
        self._put(who, rows[:, : self._k], similarity[:, : self._k])
        voters = rows[:, :_VOTERS]
        weight = np.clip(np.nan_to_num(similarity[:, :_VOTERS]), 0.0, None)
        of = np.searchsorted(self._shelf.starts, np.maximum(voters, 0), side="right") - 1
        votes = np.zeros((len(who), len(self._shelf.tasks) + 1))
        np.add.at(votes, (np.arange(len(who))[:, None], of), np.where(voters >= 0, weight, 0.0))
        total = votes.sum(axis=1)
        for number, task in enumerate(self._shelf.tasks):
            votes[:, number] *= task is not None
        best = votes.argmax(axis=1)
        share = np.divide(
            votes.max(axis=1), total, out=np.full_like(total, np.nan), where=total > 0
        )
        self._confidence[who] = share
        return np.where(np.nan_to_num(share, nan=-1.0) >= max(least, 1e-9), best, -1)

    def _nearest(self, who: IntArray, part: slice, k: int) -> tuple[IntArray, FloatArray]:
        rows, similarity = nearest(
            self._shelf.rows[part],
            self._queries[who],
            k,
            self._shelf.rank[part],
            self._banned.within(part, who),
        )
        rows[rows >= 0] += part.start
        silent = ~self._asking[who]
        rows[silent], similarity[silent] = -1, np.nan
        return rows, np.clip(similarity, -1.0, 1.0)

    def _put(self, who: IntArray, rows: IntArray, similarity: FloatArray) -> None:
        self._rows[who], self._similarity[who] = rows, similarity


def _numbers(ids: Sequence[str]) -> IntArray:
    """Ids as numbers, whose order is the ids'."""
    try:
        return np.array([int(i, 16) for i in ids], dtype=np.uint64)
    except (ValueError, OverflowError):
        wrong = next((i for i in ids if len(i) != 16 or set(i) - set("0123456789abcdef")), ids[0])
        msg = f"{wrong!r} is no template's id: expected 16 hexadecimal digits"
        raise ThoughtError(msg, field="ids") from None


def _unit(vectors: FloatArray, count: int | None, what: str) -> FloatArray:
    """(n, d) float32 rows of length 1 or 0, checked."""
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or count not in {None, len(vectors)}:
        expected = f"({'q' if count is None else count}, d)"
        msg = f"has shape {vectors.shape}, expected {expected}: one row per {what}"
        raise ThoughtError(msg, field="vectors")
    rows = np.empty(vectors.shape, dtype=np.float32)
    for start in range(0, len(vectors), _CHUNK):
        part = vectors[start : start + _CHUNK].astype(np.float64)
        norms = np.sqrt((part**2).sum(axis=1, keepdims=True))
        wrong = ~np.isfinite(norms[:, 0])
        if wrong.any():
            msg = "holds numbers that are not finite"
            raise ThoughtError(msg, row=start + int(wrong.argmax()) + 1, field="vectors")
        rows[start : start + _CHUNK] = part / np.where(norms > 0, norms, 1.0)
    return rows


def _checked_bans(
    exclude: Sequence[Sequence[int] | IntArray] | None, queries: int, rows: int
) -> Bans:
    if exclude is not None and len(exclude) != queries:
        msg = f"{len(exclude)} lists of rows for {queries} queries"
        raise ThoughtError(msg, field="exclude")
    banned = bans(exclude)
    if len(banned.rows) and not (banned.rows[0] >= 0 and banned.rows[-1] < rows):
        wrong = banned.rows[0] if banned.rows[0] < 0 else banned.rows[-1]
        msg = f"no row {wrong}: the index has {rows}"
        raise ThoughtError(msg, field="exclude")
    return banned
