"""Missing cells: means that are fair to arms which missed queries, and fillings for learners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

__all__ = ["MIN_COVERAGE", "adjusted_means", "complete"]

MIN_COVERAGE = 0.9
"""Share of the queries on which an arm must be scored to be compared with others."""

_FILL_ROUNDS = 20
_PRIOR_CELLS = 20.0


def adjusted_means(values: FloatArray) -> FloatArray:
    """(m,) column means of an (n, m) array, adjusted for missing cells by row + column effects.

    The means stay within the range of the values. A column with few cells is drawn to the mean of
    the columns by `_PRIOR_CELLS` cells, so that two lucky answers make no best arm.
    """
    if not np.isnan(values).any():
        return np.asarray(values.mean(axis=0))
    row, column = _effects(values)
    cells = (~np.isnan(values)).sum(axis=0)
    known = cells > 0
    centre = column[known].mean() if known.any() else 0.0
    missed = cells < len(values)
    drawn = (column * cells + centre * _PRIOR_CELLS) / (cells + _PRIOR_CELLS)
    means = row.mean() + np.where(missed, drawn, column)
    if known.any():
        means = np.clip(means, np.nanmin(values), np.nanmax(values))
    return np.where(known, means, np.nan)


def complete(values: FloatArray) -> FloatArray:
    """(n, m) array whose missing cells are filled by their row's and column's effect."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    row, column = _effects(values)
    return np.where(missing, row[:, None] + column, values)


def _effects(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Row (n,) and column (m,) effects of the observed cells by alternating least squares."""
    seen = ~np.isnan(values)
    filled = np.where(seen, values, 0.0)
    per_row, per_column = seen.sum(axis=1), seen.sum(axis=0)
    row, column = np.zeros(values.shape[0]), np.zeros(values.shape[1])
    for _ in range(_FILL_ROUNDS):
        residual = np.where(seen, filled - row[:, None], 0.0).sum(axis=0)
        column = np.divide(residual, per_column, out=np.zeros_like(column), where=per_column > 0)
        residual = np.where(seen, filled - column, 0.0).sum(axis=1)
        row = np.divide(residual, per_row, out=np.zeros_like(row), where=per_row > 0)
    row[per_row == 0] = row[per_row > 0].mean() if (per_row > 0).any() else 0.0
    return row, column
