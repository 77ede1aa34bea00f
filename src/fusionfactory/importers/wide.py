"""Wide tables: a row per query and one or more columns per arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.errors import FormatError
from fusionfactory.importers.rows import build
from fusionfactory.layout import Origin, check_columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

__all__ = ["from_wide", "truth_as_number"]


def from_wide(
    frame: pl.DataFrame,
    path: Path,
    *,
    shared: Mapping[str, str],
    arms: Mapping[str, Mapping[str, str]],
    task: str = "",
) -> OutcomeTable:
    """The table of a wide frame.

    Args:
        frame: A row per query.
        path: Its file, for messages.
        shared: Column of the FusionBench layout to the frame's column, for what the arms share.
        arms: Name of an arm to the same, for what each has of its own.
        task: Task of all queries where `shared` names no column for it.

    Raises:
        FormatError: A column is missing, of the wrong type or out of its range.
    """
    for layout_name, name in [
        *shared.items(),
        *(pair for own in arms.values() for pair in own.items()),
    ]:
        if name not in frame.columns:
            msg = f"missing (needed for {layout_name}); found {', '.join(frame.columns)}"
            raise FormatError(msg, file=path, field=name)
    numbers = pl.Series(range(1, frame.height + 1), dtype=pl.Int64)
    parts = []
    for arm, own in arms.items():
        fields = {**shared, **own}
        part = frame.select(_column(frame, key, name) for key, name in fields.items())
        part = part.with_columns(llm=pl.lit(arm))
        if "task_name" not in shared:
            part = part.with_columns(task_name=pl.lit(task))
        parts.append(check_columns(part, Origin(path, None, numbers, fields, FormatError)))
    rows = pl.concat([numbers] * len(parts))
    return build(pl.concat(parts), Origin(path, None, rows, dict(shared), FormatError))


def _column(frame: pl.DataFrame, key: str, name: str) -> pl.Expr:
    column = truth_as_number(frame, name) if key == "performance" else pl.col(name)
    return column.alias(key)


def truth_as_number(frame: pl.DataFrame, name: str) -> pl.Expr:
    """A column with `True` and `False` as 1 and 0, everything else as it is."""
    if frame[name].dtype == pl.Boolean:
        return pl.col(name).cast(pl.Float64)
    if frame[name].dtype == pl.String:
        truth = pl.col(name).str.strip_chars().str.to_lowercase()
        number = truth.replace_strict({"true": "1", "false": "0"}, default=None)
        return pl.coalesce(number, name)
    return pl.col(name)
