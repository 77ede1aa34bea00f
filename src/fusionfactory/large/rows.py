"""Blocks of one table put together and cut anew."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fusionfactory.fingerprint import content_digest
from fusionfactory.long_form import CELLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import IntArray

__all__ = ["concat", "fingerprint", "rechunk", "with_own_texts"]

_DIGESTED_QUERIES = 8_192
_DIGESTED_LETTERS = 2**28
"""Queries, and letters of their responses, that go into one digest of a fingerprint."""


def concat(tables: Sequence[OutcomeTable]) -> OutcomeTable:
    """One table of the same arms' blocks, at least one."""
    if len(tables) == 1:
        return tables[0]
    cells: dict[str, Any] = {
        name: np.concatenate([getattr(table, name) for table in tables]) for name in CELLS
    }
    texts = [table.responses for table in tables if table.responses is not None]
    return replace(
        tables[0],
        queries=pl.concat([table.queries for table in tables]),
        responses=np.concatenate(texts) if texts else None,
        **cells,
    )


def with_own_texts(table: OutcomeTable) -> OutcomeTable:
    """The same table, its queries' texts copied.

    Polars filters by reference: the texts of a few queries would keep those of all in memory.
    """
    return replace(table, queries=table.queries.with_columns(pl.col(pl.String) + ""))


def rechunk(blocks: Iterable[OutcomeTable], queries: int, letters: int) -> Iterator[OutcomeTable]:
    """The same queries in blocks that follow from their content alone, however they were cut.

    Args:
        blocks: In the order of the table.
        queries: The most of a block.
        letters: The most that the responses of a block have in all, but for a block of one query.
    """
    held: list[OutcomeTable] = []
    count = total = 0
    for block in blocks:
        weights, start = _letters(block), 0
        while start < len(block):
            fits = int(np.searchsorted(np.cumsum(weights[start:]) + total, letters, side="right"))
            stop = min(start + max(fits, 0 if count else 1), start + queries - count, len(block))
            if stop > start:
                held.append(block.rows(np.arange(start, stop)))
                count, total = count + stop - start, total + int(weights[start:stop].sum())
            if stop < len(block):
                yield concat(held)
                held.clear()
                count = total = 0
            start = stop
    if held:
        yield concat(held)


def _letters(table: OutcomeTable) -> IntArray:
    """(n,) letters of each query's responses."""
    if table.responses is None:
        return np.zeros(len(table), dtype=np.int64)
    lengths = (0 if text is None else len(text) for text in table.responses.ravel())
    counts = np.fromiter(lengths, np.int64, table.responses.size)
    return np.asarray(counts.reshape(table.responses.shape).sum(axis=1))


def fingerprint(blocks: Iterable[OutcomeTable], cells: Sequence[str]) -> str:
    """A digest of the blocks' content, however they are cut: see `LargeTable.fingerprint`."""
    found = [
        content_digest(
            table.queries,
            table.arms,
            {name: getattr(table, name) for name in cells},
            table.responses,
        )
        for table in rechunk(blocks, _DIGESTED_QUERIES, _DIGESTED_LETTERS)
    ]
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()
