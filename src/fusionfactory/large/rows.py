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

__all__ = ["concat", "fingerprint", "rechunk"]

_DIGESTED = 8_192
"""Queries that go into one digest of a fingerprint."""


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


def rechunk(blocks: Iterable[OutcomeTable], size: int) -> Iterator[OutcomeTable]:
    """The same queries in blocks of exactly `size`, but for the last."""
    held: list[OutcomeTable] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        while count >= size:
            whole = concat(held)
            yield whole.rows(np.arange(size))
            rest = np.arange(size, len(whole))
            held = [whole.rows(rest)] if rest.size else []
            count = rest.size
    if held:
        yield concat(held)


def fingerprint(blocks: Iterable[OutcomeTable], cells: Sequence[str]) -> str:
    """A digest of the blocks' content, however they are cut: see `LargeTable.fingerprint`."""
    found = [
        content_digest(
            table.queries,
            table.arms,
            {name: getattr(table, name) for name in cells},
            table.responses,
        )
        for table in rechunk(blocks, _DIGESTED)
    ]
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()
