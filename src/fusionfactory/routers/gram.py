"""Ridge regression from sums over blocks of rows, for data that memory does not hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.routers.linear import RELATIVE_ALPHAS

if TYPE_CHECKING:
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["RidgeSums"]

_LEAST_EIGENVALUE = 1e-10
_LEAST_FREEDOM = 1e-6


@dataclass
class _Sums:
    """Of the rows on which some columns of the targets are known: x is (n, d), y is (n, k)."""

    columns: IntArray
    n: int
    x: FloatArray
    xx: FloatArray
    y: FloatArray
    xy: FloatArray
    yy: FloatArray

    def of(self, kept: BoolArray) -> _Sums:
        """Those of some of the columns."""
        return replace(
            self, columns=self.columns[kept], x=self.x.copy(), xx=self.xx.copy(), y=self.y[kept],
            xy=self.xy[:, kept], yy=self.yy[kept],
        )  # fmt: skip


class RidgeSums:
    """What `linear.solve_ridge` needs of any number of rows: d x d sums, and d for every target.

    Targets known on the same rows share their d x d sums, and have their own from the first block
    on that tells them apart. The penalty is that of the least generalised cross-validation error
    (Golub, Heath & Wahba, 1979), which comes from the sums alone and is close to the leave-one-out
    error where rows are many; the rest is exact.

    Args:
        features: d; may be 0.
        targets: k.
    """

    def __init__(self, features: int, targets: int) -> None:
        d, k = features, targets
        self._targets = targets
        self._parts = [
            _Sums(
                np.arange(k), 0, np.zeros(d), np.zeros((d, d)),
                np.zeros(k), np.zeros((d, k)), np.zeros(k),
            )
        ]  # fmt: skip

    def add(self, features: FloatArray, targets: FloatArray) -> Self:
        """Takes in (n, d) features and (n, k) targets, NaN where missing."""
        seen = ~np.isnan(targets)
        self._parts = [part for whole in self._parts for part in _divided(whole, seen)]
        x, y = features.astype(np.float64), np.where(seen, targets, 0.0)
        whole = x.T @ x
        for part in self._parts:
            rows, own = seen[:, part.columns[0]], y[:, part.columns]
            part.n += int(rows.sum())
            part.x += x[rows].sum(axis=0)
            part.xx += _gram(x, rows, whole)
            part.y += own.sum(axis=0)
            part.xy += x.T @ own
            part.yy += (own**2).sum(axis=0)
        return self

    def solve(
        self, columns: slice = slice(None), alphas: tuple[float, ...] = RELATIVE_ALPHAS
    ) -> tuple[FloatArray, FloatArray]:
        """Coefficients (d, k) and intercepts (k,) of some of the targets.

        Those known on the same rows are solved together, with one penalty. A target without any
        known row gets zeros.

        Args:
            columns: Of the targets; all by default.
            alphas: Penalties to try, as for `solve_ridge`.
        """
        wanted = np.arange(self._targets)[columns]
        coef = np.zeros((len(self._parts[0].x), self._targets))
        intercept = np.zeros(self._targets)
        for part in self._parts:
            kept = np.isin(part.columns, wanted)
            if part.n and kept.any():
                mine = part.of(kept)
                coef[:, mine.columns], intercept[mine.columns] = _solve(mine, alphas)
        return coef[:, columns], intercept[columns]


def _divided(part: _Sums, seen: BoolArray) -> list[_Sums]:
    """The part, or one for each set of its columns that a block knows on the same rows."""
    own = seen[:, part.columns]
    if (own == own[:, :1]).all():
        return [part]
    _, group = np.unique(own, axis=1, return_inverse=True)
    return [part.of(group.ravel() == number) for number in range(int(group.max()) + 1)]


def _gram(x: FloatArray, rows: BoolArray, whole: FloatArray) -> FloatArray:
    """(d, d) of some rows, from whichever is less: those, or the others and the whole."""
    if rows.all():
        return whole
    few = x[rows] if 2 * rows.sum() <= len(rows) else x[~rows]
    own = few.T @ few
    return own if 2 * rows.sum() <= len(rows) else whole - own


def _solve(sums: _Sums, alphas: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    n, x_mean, y_mean = sums.n, sums.x / sums.n, sums.y / sums.n
    flat = np.zeros_like(sums.xy)
    if not len(x_mean) or n < 3:
        return flat, y_mean
    values, vectors = np.linalg.eigh(sums.xx - n * np.outer(x_mean, x_mean))
    keep = values > values[-1] * _LEAST_EIGENVALUE
    if values[-1] <= 0 or not keep.any():
        return flat, y_mean
    values, vectors = values[keep], vectors[:, keep]
    projected = vectors.T @ (sums.xy - n * np.outer(x_mean, y_mean))
    spread = np.maximum(sums.yy - n * y_mean**2, 0.0)
    best, best_error = np.zeros_like(projected), np.inf
    for alpha in alphas:
        shrunk = 1.0 / (values + alpha * values.mean())
        weights = shrunk[:, None] * projected
        residual = spread - (weights * (2 * projected - values[:, None] * weights)).sum(axis=0)
        freedom = max(1.0 - (1.0 + float(values @ shrunk)) / n, _LEAST_FREEDOM)
        error = float(np.maximum(residual, 0.0).mean()) / n / freedom**2
        if error < best_error:
            best, best_error = weights, error
    coef = vectors @ best
    return coef, y_mean - x_mean @ coef
