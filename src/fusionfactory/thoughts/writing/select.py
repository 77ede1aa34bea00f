"""Which answers a template is written from: the best ones to each query, by a criterion.

Only right answers that say something count. They are ranked for all queries at once: by quality,
then cost, an unknown one last; or by a judge's score, then cost; or the few best by quality and
cost by the judge's score. What is still equal is ordered by a digest of seed, query and arm, never
by the order of the columns or the length of an answer. After FusionBench (arXiv 2507.10540), whose
three criteria these are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import ThoughtError
from fusionfactory.table import QUERY_COLUMNS
from fusionfactory.thoughts.template import CRITERIA, Source
from fusionfactory.types import Outcome, Query, Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["FINALISTS", "KEEP", "Selection", "merged", "select"]

KEEP = 3
"""Answers that a template is written from, as in the paper."""
FINALISTS = 5
"""Answers between which the judge decides under `hybrid`, as in the paper."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The answers to one query that a template is written from.

    Attributes:
        query: What was asked.
        sources: The outcomes with their responses and scores, the best first.
        criteria: By which criteria they were chosen; several where these agree.
    """

    query: Query
    sources: tuple[Outcome, ...]
    criteria: tuple[str, ...]

    @property
    def keys(self) -> tuple[Source, ...]:
        """The keys of the sources, the best first."""
        return tuple(Source(o.query_id, o.arm, o.sample) for o in self.sources)


def select(
    table: OutcomeTable,
    *,
    criterion: str = "performance",
    source_arms: Sequence[str] = (),
    keep: int = KEEP,
    finalists: int = FINALISTS,
    min_quality: float = 1.0,
    seed: int = 0,
    sample: int = 0,
) -> list[Selection]:
    """The best answers to each query, in the order of the table; none for a query without one.

    Args:
        table: Queries by arms, with responses.
        criterion: `performance`, `judge` or `hybrid`. Under the last two, only judged answers
            count.
        source_arms: Only answers of these arms; of all where none is named.
        keep: Answers per query at most; of equal texts only the first counts.
        finalists: Under `hybrid`, how many the judge chooses from.
        min_quality: The least quality of a right answer. A free-text task that only a judge scores
            has no quality: give the table's `judged()` and a lower bound.
        seed: Of the order of what is equal.
        sample: Which repetition the table holds; stands in the sources' keys.

    Raises:
        ThoughtError: The criterion or an arm is unknown, a number is out of its range, the table
            has no responses or no quality, or the criterion needs a judge's scores and there are
            none.
    """
    _check(criterion, keep, finalists, min_quality)
    if source_arms:
        _check_arms(table, source_arms)
        table = table.select_arms(list(dict.fromkeys(source_arms)))
    if table.responses is None:
        msg = "the table holds no responses, and a template is written from the best of them"
        raise ThoughtError(msg, field="response")
    if not table.observed().any():
        msg = "no answer has a quality: score them first (`fusionfactory score`)"
        raise ThoughtError(msg, field="performance")
    usable = _usable(table, min_quality)
    if criterion != "performance":
        if not table.has_judge:
            msg = (
                f"the criterion {criterion!r} needs a judge's scores and there are none: let an "
                "LLM grade the answers first (`fusionfactory judge`), or use 'performance'"
            )
            raise ThoughtError(msg, field="criterion")
        usable &= ~np.isnan(table.judge)
    order = _ranked(table, usable, criterion, finalists, seed)
    return _selections(table, order, usable.sum(axis=1), criterion, keep, finalists, sample)


def merged(lists: Iterable[Sequence[Selection]]) -> list[Selection]:
    """Selections by several criteria, query by query; those of the same answers are one.

    Returns:
        In the order of the first list, and of the later ones where a query is new.
    """
    by_query: dict[str, dict[tuple[Source, ...], Selection]] = {}
    for selections in lists:
        for selection in selections:
            mine = by_query.setdefault(selection.query.id, {})
            there = mine.get(selection.keys)
            if there is not None:
                criteria = dict.fromkeys((*there.criteria, *selection.criteria))
                mine[selection.keys] = replace(there, criteria=tuple(criteria))
            else:
                mine[selection.keys] = selection
    return [selection for mine in by_query.values() for selection in mine.values()]


def _check(criterion: str, keep: int, finalists: int, min_quality: float) -> None:
    if criterion not in CRITERIA:
        msg = f"{criterion!r} is no criterion; expected one of {', '.join(CRITERIA)}"
        raise ThoughtError(msg, field="criterion")
    for name, count in (("keep", keep), ("finalists", finalists)):
        if count < 1:
            msg = f"{count} answers are none to choose: expected 1 or more"
            raise ThoughtError(msg, field=name)
    if not 0.0 < min_quality <= 1.0:
        msg = f"{min_quality} is no quality of a right answer: it must lie in (0, 1]"
        raise ThoughtError(msg, field="min_quality")


def _check_arms(table: OutcomeTable, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.arm_names:
            msg = f"no arm {name!r} in the table; it has: {', '.join(table.arm_names)}"
            raise ThoughtError(msg, field="source_arms")


def _usable(table: OutcomeTable, min_quality: float) -> BoolArray:
    """(n, m) which cells hold a right answer with a text; a missing quality is not right."""
    right = np.nan_to_num(table.quality, nan=-1.0) >= min_quality
    assert table.responses is not None  # noqa: S101  checked by the caller
    rows, columns = np.nonzero(right)
    texts = table.responses[rows, columns]
    said = np.fromiter((text is not None and bool(text.strip()) for text in texts), bool)
    right[rows, columns] = said
    return right


def _ranked(
    table: OutcomeTable, usable: BoolArray, criterion: str, finalists: int, seed: int
) -> IntArray:
    """(n, m) columns from the best to the worst answer of each query; usable ones come first."""
    tie = _digests(table, seed)
    cost = np.nan_to_num(table.cost_usd, nan=np.inf)
    judge = -np.nan_to_num(table.judge, nan=-1.0)
    by_judge = (tie, cost, judge, ~usable)
    if criterion == "judge":
        return np.lexsort(by_judge, axis=-1)
    quality = -np.nan_to_num(table.quality, nan=-1.0)
    order = np.lexsort((tie, cost, quality, ~usable), axis=-1)
    if criterion == "performance":
        return order
    place = np.argsort(order, axis=-1)
    return np.lexsort((*by_judge[:-1], place >= finalists, ~usable), axis=-1)


def _digests(table: OutcomeTable, seed: int) -> NDArray[np.uint64]:
    """(n, m) digests of seed, query and arm: splitmix64 of a digest of each."""
    queries = _hashes((f"{seed}:{name}" for name in table.queries["query_id"]), len(table))
    arms = _hashes(table.arm_names, len(table.arms))
    mixed = queries[:, None] ^ arms[None, :]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _hashes(names: Iterable[str], count: int) -> NDArray[np.uint64]:
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), dtype=np.uint64, count=count)


def _selections(
    table: OutcomeTable,
    order: IntArray,
    counts: IntArray,
    criterion: str,
    keep: int,
    finalists: int,
    sample: int,
) -> list[Selection]:
    most = finalists if criterion == "hybrid" else len(table.arms)
    queries = table.queries.select(QUERY_COLUMNS).rows()
    found = []
    for row in np.nonzero(counts)[0].tolist():
        query = Query(*queries[row])
        kept: dict[str, Outcome] = {}
        for column in order[row, : min(int(counts[row]), most)].tolist():
            outcome = _outcome(table, query.id, row, column, sample)
            kept.setdefault((outcome.response or "").strip(), outcome)
            if len(kept) == keep:
                break
        found.append(Selection(query, tuple(kept.values()), (criterion,)))
    return found


def _outcome(table: OutcomeTable, query_id: str, row: int, column: int, sample: int) -> Outcome:
    values = {name: _number(getattr(table, name)[row, column]) for name in _NUMBERS}
    judge = _number(table.judge[row, column])
    scores = [Score("performance", float(table.quality[row, column]))]
    if judge is not None:
        scores.append(Score("llm_judge", judge))
    assert table.responses is not None  # noqa: S101  checked by the caller
    return Outcome(
        query_id=query_id,
        arm=table.arms[column].name,
        sample=sample,
        response=table.responses[row, column],
        input_tokens=_count(values["input_tokens"]),
        output_tokens=_count(values["output_tokens"]),
        cost_usd=values["cost_usd"],
        latency_s=values["latency_s"],
        scores=tuple(scores),
    )


_NUMBERS = ("input_tokens", "output_tokens", "cost_usd", "latency_s")


def _number(value: FloatArray) -> float | None:
    return None if np.isnan(value) else float(value)


def _count(tokens: float | None) -> int | None:
    return None if tokens is None else round(tokens)
