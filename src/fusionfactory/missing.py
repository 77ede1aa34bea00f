"""Missing cells: means that are fair to arms which missed queries, and fillings for learners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

__all__ = ["adjusted_means", "complete"]

_FILL_ROUNDS = 20


def adjusted_means(values: FloatArray) -> FloatArray:
    """(m,) column means of an (n, m) array, adjusted for missing cells by row + column effects."""
    if not np.isnan(values).any():
        return np.asarray(values.mean(axis=0))
    row, column = _effects(values)
    return np.where(np.isnan(values).all(axis=0), np.nan, row.mean() + column)


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
