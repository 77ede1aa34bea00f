"""Missing cells: means that are fair to arms which missed queries, and fillings for learners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

__all__ = ["MIN_COVERAGE", "CellSums", "adjusted_means", "complete"]

MIN_COVERAGE = 0.9
"""Share of the queries on which an arm must be scored to be compared with others."""

_FILL_ROUNDS = 20
_PRIOR_CELLS = 20.0


class CellSums:
    """Sums over blocks of (n, m) cells that tell the adjusted means of the m columns.

    They hold what the alternating least squares of row + column effects need, so that the means are
    those of all blocks at once, and no block is kept: m x m numbers, however many rows.

    Attributes:
        rows: How many so far.
        count: (m,) known cells.
    """

    def __init__(self, columns: int) -> None:
        self.rows = 0
        self.count = np.zeros(columns, dtype=np.int64)
        self._total = np.zeros(columns)
        self._range = np.array([np.inf, -np.inf])
        self._known_rows = 0
        self._row_means = 0.0
        self._shares = np.zeros(columns)
        self._shared = np.zeros((columns, columns))
        self._met = np.zeros(columns)

    def add(self, values: FloatArray) -> Self:
        """Takes in (n, m) cells, NaN where missing."""
        seen = ~np.isnan(values)
        self.rows += len(values)
        per_row = seen.sum(axis=1)
        seen, values, per_row = seen[per_row > 0], values[per_row > 0], per_row[per_row > 0]
        if not len(values):
            return self
        filled = np.where(seen, values, 0.0)
        self.count += seen.sum(axis=0)
        self._total += filled.sum(axis=0)
        self._range[:] = (
            min(self._range[0], np.nanmin(values)), max(self._range[1], np.nanmax(values))
        )  # fmt: skip
        means, share = filled.sum(axis=1) / per_row, seen / per_row[:, None]
        self._known_rows += len(values)
        self._row_means += float(means.sum())
        self._shares += share.sum(axis=0)
        self._shared += seen.T.astype(np.float64) @ share
        self._met += means @ seen
        return self

    def means(self) -> FloatArray:
        """(m,) as `adjusted_means` of all cells so far."""
        unknown = np.full(len(self.count), np.nan)
        plain = np.asarray(np.divide(self._total, self.count, out=unknown, where=self.count > 0))
        if (self.count == self.rows).all() or not self._known_rows:
            return plain
        known = self.count > 0
        column = explained = np.zeros(len(self.count))
        for _ in range(_FILL_ROUNDS):
            residual = self._total - explained
            column = np.divide(residual, self.count, out=np.zeros_like(column), where=known)
            explained = self._met - self._shared @ column
        rows_mean = (self._row_means - self._shares @ column) / self._known_rows
        drawn = (column * self.count + column[known].mean() * _PRIOR_CELLS) / (
            self.count + _PRIOR_CELLS
        )
        means = rows_mean + np.where(self.count < self.rows, drawn, column)
        return np.asarray(np.where(known, np.clip(means, *self._range), np.nan))


def adjusted_means(values: FloatArray) -> FloatArray:
    """(m,) column means of an (n, m) array, adjusted for missing cells by row + column effects.

    The means stay within the range of the values. A column with few cells is drawn to the mean of
    the columns by `_PRIOR_CELLS` cells, so that two lucky answers make no best arm.
    """
    return CellSums(values.shape[1]).add(values).means()


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
