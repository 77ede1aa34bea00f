"""Linear algebra of the routers: ridge regression with missing targets, rows of unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

__all__ = ["RELATIVE_ALPHAS", "solve_ridge", "unit_rows"]

RELATIVE_ALPHAS = (0.003, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Penalties tried, in units of the features' mean squared singular value."""


def solve_ridge(
    features: FloatArray,
    targets: FloatArray,
    alphas: tuple[float, ...] = RELATIVE_ALPHAS,
    *,
    each: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Coefficients (d, k) and intercepts (k,) for every column of targets.

    Columns observed on the same rows are solved together with the penalty of the least
    leave-one-out error, in closed form. A column without any observed row gets zeros.

    Args:
        features: (n, d); d may be 0.
        targets: (n, k); NaN where missing.
        alphas: Penalties to try, relative to the mean squared singular value.
        each: Whether every column has the penalty that is best for it alone.
    """
    seen = ~np.isnan(targets)
    coef = np.zeros((features.shape[1], targets.shape[1]))
    intercept = np.zeros(targets.shape[1])
    patterns, group = np.unique(seen, axis=1, return_inverse=True)
    for index in range(patterns.shape[1]):
        rows, columns = patterns[:, index], np.nonzero(group.ravel() == index)[0]
        if rows.any():
            found = _solve(
                features[rows].astype(np.float64), targets[np.ix_(rows, columns)], alphas, each
            )
            coef[:, columns], intercept[columns] = found
    return coef, intercept


def _solve(
    x: FloatArray, y: FloatArray, alphas: tuple[float, ...], each: bool
) -> tuple[FloatArray, FloatArray]:
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - x_mean, y - y_mean
    if not x.size or len(x) < 3:
        return np.zeros((x.shape[1], y.shape[1])), y_mean
    values, vectors = np.linalg.eigh(x.T @ x)
    keep = values > values[-1] * 1e-10
    if not keep.any():
        return np.zeros((x.shape[1], y.shape[1])), y_mean
    values, vectors = values[keep], vectors[:, keep]
    scores = x @ vectors
    projected = scores.T @ y
    best, best_error = np.zeros_like(projected), np.full(y.shape[1], np.inf)
    for alpha in alphas:
        shrunk = 1.0 / (values + alpha * values.mean())
        leverage = (scores**2 @ shrunk) + 1.0 / len(x)
        weights = shrunk[:, None] * projected
        residual = (y - scores @ weights) / np.maximum(1.0 - leverage, 1e-6)[:, None]
        error = (residual**2).mean(axis=0)
        better = (
            error < best_error if each else np.full(len(error), error.mean() < best_error.mean())
        )
        best[:, better], best_error[better] = weights[:, better], error[better]
    coef = vectors @ best
    return coef, y_mean - x_mean @ coef


def unit_rows(features: FloatArray) -> FloatArray:
    """(n, d) float32 rows of length 1; a zero row stays zero."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(norms, 1e-12), dtype=np.float32)
