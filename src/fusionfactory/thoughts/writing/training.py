"""Which rows of a table templates may be written from: never those that are tested on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import ThoughtError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fusionfactory.table import OutcomeTable

__all__ = ["training_rows"]


def training_rows(
    table: OutcomeTable, *, split: str | None = "train", tasks: Sequence[str] = ()
) -> OutcomeTable:
    """The rows of a split and of some tasks.

    Args:
        table: Where no row of it states a split, all of them are for training.
        split: Only rows of this split, where any row states one; None for all rows.
        tasks: Only rows of these tasks; of all where none is named.

    Raises:
        ThoughtError: The table has no such task, no row of the split is left, or a split other
            than `train` is asked of a table that states none.
    """
    names = table.tasks
    for name in tasks:
        if name not in names:
            msg = f"no query of the task {name!r} in the table; it has: {_named(names)}"
            raise ThoughtError(msg, field="task")
    keep = np.isin(names, list(tasks)) if tasks else np.ones(len(table), dtype=np.bool_)
    splits = table.queries["split"].fill_null("").to_numpy()
    if split is not None and (split != "train" or (splits != "").any()):
        keep &= splits == split
    if not keep.any():
        msg = (
            f"no query of the split {split!r} to write templates from; the table has: "
            f"{_named(splits)}. Name another split, or none to use every query"
        )
        raise ThoughtError(msg, field="split")
    return table if keep.all() else table.rows(keep)


def _named(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values} - {""})) or "none"
