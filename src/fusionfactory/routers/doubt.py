"""How far estimates of mean quality may be off: the spread of trees, scaled by held-out errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.routers.linear import unit_rows

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Doubt"]

_NEIGHBOURS = 10
_MOST_ROWS = 4000
_PRIOR_SHARE = 0.1
_PRIOR_QUERIES = 100.0


class Doubt(Estimator):
    """Variance of an estimate = constant + share x variance between trees + that of a mean.

    One answer says nothing of an estimate's error, for it may be chance. What chance does not
    explain is that the held-out errors on a query and on its neighbours go the same way: their
    covariance is the variance sought, wherever errors change slowly from query to query. Constant
    and share are non-negative least squares of the products of neighbours' errors, drawn to a tenth
    of the variance between trees where queries are few. The variance of a mean over all training
    queries, which no model goes below, is added.
    """

    terms_: FloatArray
    floor_: FloatArray

    def fit(
        self, rows: FloatArray, errors: FloatArray, variance: FloatArray, folds: IntArray
    ) -> Doubt:
        """Learns from held-out errors.

        Args:
            rows: (n, d) queries for distances.
            errors: (n, m) quality minus its estimate by models that did not see the query's fold;
                NaN where missing.
            variance: (n, m) between the trees of those models.
            folds: (n,) numbers; neighbours are of one fold, so that neither taught the other.
        """
        from scipy.optimize import nnls

        self.reset()
        seen = ~np.isnan(errors)
        cells = np.maximum(seen.sum(axis=0), 1)
        self.floor_ = (np.nan_to_num(errors) ** 2).sum(axis=0) / cells**2
        unit = unit_rows(rows)
        usual = max(float(variance.mean()), 1e-12)
        prior = np.sqrt(_PRIOR_QUERIES * errors.shape[1]) * usual * np.eye(2)
        design, target = [prior], [prior @ [0.0, _PRIOR_SHARE]]
        for fold in np.unique(folds):
            held = np.flatnonzero(folds == fold)[:_MOST_ROWS]
            if len(held) > 1:
                shared, product = _products(unit[held], errors[held], variance[held])
                design.append(np.stack([np.full_like(shared, usual), shared], axis=1))
                target.append(product)
        constant, share = nnls(np.concatenate(design), np.concatenate(target))[0]
        self.terms_ = np.array([constant * usual, share])
        return self

    def std(self, variance: FloatArray) -> FloatArray:
        """(n, m) standard deviations from (n, m) variances between trees."""
        constant, share = self.terms_
        return np.asarray(np.sqrt(constant + share * variance + self.floor_))


def _products(
    unit: FloatArray, errors: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Geometric mean of variances and product of errors, per cell and neighbours' mean."""
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    count = min(_NEIGHBOURS, len(unit) - 1)
    near = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    both = ~np.isnan(errors)[:, None, :] & ~np.isnan(errors)[near]
    weight = both / np.maximum(both.sum(axis=1, keepdims=True), 1)
    known = np.nan_to_num(errors)
    product = (known[:, None, :] * known[near] * weight).sum(axis=1)
    deviation = np.sqrt(variance)
    shared = (deviation[:, None, :] * deviation[near] * weight).sum(axis=1)
    seen = both.any(axis=1)
    return shared[seen], product[seen]
