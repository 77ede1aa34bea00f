"""Which answers the token limit cut off, as far as a store knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, Outcome

__all__ = ["cut_off"]

_LIMIT = "length"


def cut_off(table: OutcomeTable, outcomes: Iterable[Outcome], sample: int = 0) -> FloatArray:
    """(n, m) 1 where an answer was cut off, 0 where it ended by itself, NaN where unknown.

    Args:
        table: n queries by m arms.
        outcomes: Of these and others, such as a store's.
        sample: The repetition that the table holds.
    """
    rows = {name: row for row, name in enumerate(table.queries["query_id"])}
    columns = {name: column for column, name in enumerate(table.arm_names)}
    found = np.full((len(table), len(table.arms)), np.nan)
    for outcome in outcomes:
        row, column = rows.get(outcome.query_id), columns.get(outcome.arm)
        if outcome.sample == sample and None not in {row, column} and outcome.finish_reason:
            found[row, column] = outcome.finish_reason == _LIMIT
    return found
