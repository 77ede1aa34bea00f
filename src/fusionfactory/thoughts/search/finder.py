"""Finding the templates that a query is shown: the nearest, or random ones of its task.

A query never sees a template that was written from its own answers, nor one of a query with the
same text but for case and punctuation. So the queries that a bank was built from are prompted as
if they had not been there, and their outcomes tell what templates do for new ones.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fusionfactory.errors import ThoughtError
from fusionfactory.normal_text import normal_texts
from fusionfactory.thoughts.strategy import parse_strategy
from fusionfactory.thoughts.template import CRITERIA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fusionfactory.encoders import Encoder
    from fusionfactory.thoughts.search.index import ThoughtIndex
    from fusionfactory.thoughts.template import ThoughtTemplate
    from fusionfactory.types import BoolArray, FloatArray, IntArray, Query

__all__ = ["Finder", "Found"]

_DEPTH = 32
"""Neighbours that are searched for at least, so that several strategies share one search."""
_DEEPER = 4
_DEEPEST = 2048
"""Where so many near questions share their texts, fewer templates are shown."""


class Found(NamedTuple):
    """A template that a query is shown.

    Attributes:
        template: What was found.
        similarity: Cosine between the query and the template's question; NaN for a random one.
    """

    template: ThoughtTemplate
    similarity: float


class _Ranking(NamedTuple):
    """The nearest rows of the index, the nearest first; `whole` where there are no more."""

    rows: IntArray
    similarity: FloatArray
    whole: bool


class Finder:
    """Finds templates for many queries at once.

    What was embedded and searched for a query once is kept, so that further strategies for the
    same queries cost nothing.

    Args:
        templates: All templates of the index, in any order.
        index: Over the templates' questions.
        encoder: Fitted; made the index's rows.
        criterion: Of strategies that name none; None for the first of `CRITERIA` that a template
            of the bank was chosen by.

    Raises:
        ThoughtError: The index is not of these templates.
    """

    def __init__(
        self,
        templates: Iterable[ThoughtTemplate],
        index: ThoughtIndex,
        encoder: Encoder,
        *,
        criterion: str | None = None,
    ) -> None:
        by_id = {template.id: template for template in templates}
        if by_id.keys() != set(index.ids):
            new, gone = len(by_id.keys() - set(index.ids)), len(set(index.ids) - by_id.keys())
            msg = (
                f"the index is not of these templates: it lacks {new} and has {gone} others. Bring "
                "it up to date by `fusionfactory think index`"
            )
            raise ThoughtError(msg)
        self.templates = tuple(by_id[i] for i in index.ids)
        self.index, self.encoder = index, encoder
        used = {name for template in self.templates for name in template.criteria}
        self.criterion = criterion or next((c for c in CRITERIA if c in used), CRITERIA[0])
        self._vectors: dict[str, FloatArray] = {}
        self._rankings: dict[Query, _Ranking] = {}

    def find(self, queries: Sequence[Query], strategy: str) -> list[list[Found]]:
        """The templates that each query is shown, the most similar first; fewer where few are left.

        Raises:
            UnsupportedError: There is no strategy of that name.
            ThoughtError: No template of the bank was chosen by the strategy's criterion.
        """
        told = parse_strategy(strategy)
        if not told.needs_bank or not queries:
            return [[] for _ in queries]
        usable = self._usable(told.criterion or self.criterion)
        if told.kind == "random":
            return self._drawn(queries, told.k, usable)
        return self._nearest(queries, told.k, usable, texts=told.kind == "thought")

    def similarity(self, queries: Sequence[Query], strategy: str = "thought:1") -> FloatArray:
        """(n,) cosine to the nearest template that the query may see; NaN where there is none."""
        nearest = [max((one.similarity for one in f), default=np.nan)
                   for f in self.find(queries, strategy)]  # fmt: skip
        return np.array(nearest, dtype=np.float64)

    def forget(self) -> None:
        """Drops what was kept of the queries so far, for a process that sees ever new ones."""
        self._vectors.clear()
        self._rankings.clear()

    def _usable(self, criterion: str) -> BoolArray:
        usable = np.array([criterion in t.criteria for t in self.templates], dtype=bool)
        if not usable.any():
            has = sorted({name for t in self.templates for name in t.criteria})
            msg = (
                f"the bank holds no template chosen by {criterion!r}; it has "
                f"{', '.join(has) or 'none at all'}. Build them by `fusionfactory think build "
                f"--criterion {criterion}`"
            )
            raise ThoughtError(msg, field="strategy")
        return usable

    @cached_property
    def _questions(self) -> list[str]:
        return normal_texts([template.question for template in self.templates])

    @cached_property
    def _rows_of(self) -> dict[tuple[str, str], list[int]]:
        """("id" of a query or its "text" in normal form) to the rows that were written from it.

        That is a row under its question, and one whose text was written for it.
        """
        asked: dict[str, str] = {}
        pairs = zip(self.templates, self._questions, strict=True)
        # The question that a text was written for comes before those that share the text.
        for template, text in sorted(pairs, key=lambda pair: len(pair[0].query_ids)):
            asked.setdefault(template.sources[0].query_id, text)
        rows: dict[tuple[str, str], list[int]] = {}
        for row, (template, text) in enumerate(zip(self.templates, self._questions, strict=True)):
            writer = template.sources[0].query_id
            for key in {("text", text), ("id", writer), ("text", asked[writer])}:
                rows.setdefault(key, []).append(row)
        return rows

    def _own(self, queries: Sequence[Query]) -> list[set[int]]:
        """For each query the rows that it may not see."""
        rows = self._rows_of
        texts = normal_texts([query.text for query in queries])
        return [
            {*rows.get(("id", query.id), ()), *rows.get(("text", text), ())}
            for query, text in zip(queries, texts, strict=True)
        ]

    def _different(self, rows: Iterable[int], *, texts: bool) -> Iterator[int]:
        """Those rows whose question, and with `texts` whose text, no row before them has."""
        seen: set[tuple[str, str]] = set()
        for row in rows:
            mine = {("question", self._questions[row])}
            if texts:
                mine.add(("text", self.templates[row].text))
            if not mine & seen:
                seen |= mine
                yield row

    def _nearest(
        self, queries: Sequence[Query], k: int, usable: BoolArray, *, texts: bool
    ) -> list[list[Found]]:
        found: list[list[Found]] = [[] for _ in queries]
        short, depth = list(range(len(queries))), max(_DEPTH, 2 * k)
        while short:
            ranked = self._ranked([queries[i] for i in short], depth)
            left = []
            for i, (rows, similarity, whole) in zip(short, ranked, strict=True):
                near = {int(r): float(s) for r, s in zip(rows, similarity, strict=True)}
                kept = self._different((r for r in near if usable[r]), texts=texts)
                found[i] = [Found(self.templates[r], near[r]) for r in islice(kept, k)]
                if len(found[i]) < k and not whole and depth < _DEEPEST:
                    left.append(i)
            short, depth = left, depth * _DEEPER
        return found

    def _ranked(self, queries: Sequence[Query], depth: int) -> list[_Ranking]:
        missing = [
            query
            for query in dict.fromkeys(queries)
            if (held := self._rankings.get(query)) is None
            or (len(held.rows) < depth and not held.whole)
        ]
        if missing:
            most = min(depth, len(self.templates))
            near = self.index.search(
                self._embedded([query.text for query in missing]),
                most,
                [query.task for query in missing],
                exclude=[sorted(rows) for rows in self._own(missing)],
            )
            for query, rows, similarity in zip(missing, near.rows, near.similarity, strict=True):
                there = rows >= 0
                whole = most == len(self.templates) or not there.all()
                self._rankings[query] = _Ranking(rows[there], similarity[there], whole)
        return [self._rankings[query] for query in queries]

    def _embedded(self, texts: list[str]) -> FloatArray:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, self.encoder.encode(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])

    def _drawn(self, queries: Sequence[Query], k: int, usable: BoolArray) -> list[list[Found]]:
        """Templates of the query's task, or of any where it has none, by a digest of its id."""
        pools = self._pools(usable)
        found = []
        for query, own in zip(queries, self._own(queries), strict=True):
            pool = pools.get(query.task) or pools[_ANY]
            seed = hashlib.sha256(query.id.encode("utf-8", "replace")).digest()
            order = np.random.default_rng(int.from_bytes(seed[:8])).permutation(len(pool))
            others = (pool[i] for i in order if pool[i] not in own)
            rows = islice(self._different(others, texts=True), k)
            found.append([Found(self.templates[row], np.nan) for row in rows])
        return found

    def _pools(self, usable: BoolArray) -> dict[object, list[int]]:
        """Task, and all of them together, to the rows that may be used, whatever their order."""
        pools: dict[object, list[int]] = {_ANY: []}
        ids = self.index.ids
        for row in sorted(np.flatnonzero(usable).tolist(), key=lambda row: ids[row]):
            pools[_ANY].append(row)
            pools.setdefault(self.templates[row].task, []).append(row)
        return pools


_ANY = object()
