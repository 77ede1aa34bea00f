"""The index of a bank: the templates whose questions are most similar to a query, by cosine.

Within the query's task where it is known; else within the task that the nearest templates agree on,
or over all where they do not. Exact up to a million templates (`search.nearest`), beyond that, or
on request, over all by a graph (`search.approximate`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fusionfactory.encoders import Encoder
from fusionfactory.errors import InputError, ThoughtError
from fusionfactory.estimator import Estimator
from fusionfactory.sealed import SealedState
from fusionfactory.thoughts.search.approximate import GRAPH, Graph
from fusionfactory.thoughts.search.bans import Bans, bans
from fusionfactory.thoughts.search.lookup import EXACT_ROWS, Lookup, Neighbours
from fusionfactory.thoughts.search.shelf import Shelf, id_numbers, unit_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.thoughts.template import ThoughtTemplate
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["LEAST_CONFIDENCE", "Neighbours", "ThoughtIndex"]

LEAST_CONFIDENCE = 0.5
"""Share of the votes that the predicted task must exceed to be searched alone, unless told."""

_FILES = SealedState("index", 1, ThoughtError)
_ENCODER = "encoder."


class ThoughtIndex:
    """Rows of length 1, one per template; made by `build` or `load`.

    A search runs on what was there when it began, even if another thread adds or deletes meanwhile.
    """

    def __init__(self, shelf: Shelf, graph: Graph | None, encoder: Encoder | None) -> None:
        self._shelf, self._graph, self._encoder = shelf, graph, encoder

    @classmethod
    def build(
        cls,
        templates: Sequence[ThoughtTemplate],
        vectors: FloatArray,
        encoder: Encoder | None = None,
        *,
        approximate: bool | None = None,
    ) -> Self:
        """An index of templates.

        Args:
            templates: Each at most once.
            vectors: (n, d) embeddings of their questions, of any length; a row of zeros is similar
                to nothing, and found last.
            encoder: The fitted encoder that made them; it is saved with the index.
            approximate: Whether to search over all by a graph, which may miss a neighbour; None for
                above a million templates only.

        Raises:
            ThoughtError: The shapes do not fit, a number is not finite, or an id occurs twice.
            MissingExtraError: A graph is due and the extra `ann` is absent.
        """
        shelf = _shelf(templates, vectors)
        due = len(shelf) > EXACT_ROWS if approximate is None else approximate
        if due:
            return cls(shelf, Graph.of(shelf.ids, shelf.rows), encoder)
        return cls(shelf.prepared(), None, encoder)

    def __len__(self) -> int:
        return len(self._shelf)

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
    def approximate(self) -> bool:
        """Whether a search over all may miss a neighbour."""
        return self._graph is not None

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
        return self._shelf.rows_of(ids)

    # Changing

    def add(self, templates: Sequence[ThoughtTemplate], vectors: FloatArray) -> None:
        """Adds templates; one that is there already gets the new vector.

        Rows are numbered anew. One call for many templates costs little more than for one. An exact
        index stays exact, however many there are.

        Raises:
            ThoughtError: As `build`, or the vectors have another width than the index.
        """
        new, old = _shelf(templates, vectors), self._shelf
        if not len(new):
            return
        if len(old):
            self._check_width(new.rows)
        if self._graph is not None:
            self._graph.add(new.ids, new.rows)
        kept = ~np.isin(old.ids, new.ids)
        self._shelf = old.keeping(kept).joined(new) if kept.any() else new

    def delete(self, ids: Iterable[str]) -> None:
        """Takes templates out; rows are numbered anew.

        Raises:
            ThoughtError: An id is not in the index; nothing is taken out then.
        """
        old = self._shelf
        kept = np.ones(len(old), dtype=bool)
        kept[old.rows_of(ids)] = False
        self._shelf = old.keeping(kept)
        if self._graph is not None:
            self._graph.delete(old.ids[~kept])

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
            least_confidence: What a predicted task's confidence must exceed to be searched alone.

        Raises:
            ThoughtError: The shapes do not fit, a number is not finite, k is below 1, or an
                excluded row does not exist.
        """
        if k < 1:
            msg = f"must be at least 1, got {k}"
            raise ThoughtError(msg, field="k")
        queries = unit_vectors(vectors, None, "query")
        if tasks is not None and len(tasks) != len(queries):
            msg = f"{len(tasks)} tasks for {len(queries)} queries"
            raise ThoughtError(msg, field="tasks")
        if len(self):
            self._check_width(queries)
        shelf = self._shelf
        banned = _checked_bans(exclude, len(queries), len(shelf))
        lookup = Lookup(shelf, self._graph, queries, k, banned)
        if over_all:
            lookup.everywhere()
        else:
            lookup.by_task(tasks or [None] * len(queries), least_confidence)
        return lookup.found()

    def _check_width(self, rows: FloatArray) -> None:
        if rows.shape[1] != self.dim:
            msg = (
                f"have {rows.shape[1]} columns, the index has {self.dim}: encode texts with the "
                "index's own encoder"
            )
            raise ThoughtError(msg, field="vectors")

    # Reading and writing

    def save(self, directory: str | Path) -> None:
        """Writes `index.json`, `index.safetensors` and, where there is a graph, `index.usearch`.

        An older index there is replaced. The encoder's fitted state is inside, no template is.
        """
        directory = Path(directory).resolve()
        shelf, graph = self._shelf, self._graph
        state, tensors = (None, {}) if self._encoder is None else self._encoder.state()
        arrays = {"ids": shelf.ids, "rows": shelf.rows, "starts": shelf.starts}
        content = {
            "templates": len(shelf),
            "dim": self.dim,
            "tasks": list(shelf.tasks),
            "approximate": graph is not None,
            "encoder": None if self._encoder is None else self._encoder.name,
            "state": state,
        }
        arrays.update({f"{_ENCODER}{name}": array for name, array in tensors.items()})
        _FILES.write(directory, content, arrays, {GRAPH: graph.save} if graph else None)
        if graph is None:
            (directory / GRAPH).unlink(missing_ok=True)

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
            MissingExtraError: It has a graph and the extra `ann` is absent.
        """
        directory = Path(directory)
        file = directory / _FILES.manifest
        if not file.exists():
            msg = "no index here: make one by `fusionfactory think index`"
            raise ThoughtError(msg, file=file)
        manifest, tensors = _FILES.read(directory, network=network)
        try:
            tasks = tuple(manifest["tasks"])
            shelf = Shelf(tensors["ids"], tensors["rows"], tasks, tensors["starts"])
            encoder = _encoder(manifest["state"], tensors)
            approximate = manifest["approximate"]
        except (KeyError, TypeError, InputError) as error:
            msg = f"does not fit this version of fusionfactory: {type(error).__name__}: {error}"
            raise ThoughtError(msg, file=file) from error
        if approximate:
            return cls(shelf, Graph.load(directory / GRAPH, *shelf.rows.shape), encoder)
        return cls(shelf.prepared(), None, encoder)


def _shelf(templates: Sequence[ThoughtTemplate], vectors: FloatArray) -> Shelf:
    ids = id_numbers([template.id for template in templates])
    rows = unit_vectors(vectors, len(templates), "template")
    distinct, counts = np.unique(ids, return_counts=True)
    if len(distinct) < len(ids):
        msg = f"template {int(distinct[counts > 1][0]):016x} is there twice: give it once"
        raise ThoughtError(msg, field="templates")
    return Shelf.of(ids, rows, [template.task for template in templates])


def _encoder(state: Any, tensors: dict[str, Any]) -> Encoder | None:  # noqa: ANN401  JSON
    if state is None:
        return None
    own = {name.removeprefix(_ENCODER): a for name, a in tensors.items() if _ENCODER in name}
    made = Estimator.from_state(state, own)
    if not isinstance(made, Encoder):
        msg = f"holds a {type(made).__name__} for an encoder"
        raise ThoughtError(msg)
    return made


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
