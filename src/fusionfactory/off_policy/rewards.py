"""The reward model of the doubly robust estimate: a router's own estimates, brought to level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.off_policy.log import BanditLog
    from fusionfactory.types import BoolArray, FloatArray

__all__ = ["calibrated_rewards"]

_PRIOR_CELLS = 10.0
_LEAST_ROWS = 10
_FREE = 1e-6


def calibrated_rewards(
    log: BanditLog, predictions: FloatArray, *, folds: int = 5, seed: int = 0
) -> FloatArray:
    """(n, m) expected rewards: predictions brought to the level of the log, out of fold.

    One slope for all predictions and an offset for every arm, drawn to the common one, fitted on
    the other folds; groups stay in one fold. A slope under 1 takes back what an arm that was chosen
    for its prediction promises too much.

    Args:
        log: n rows, m arms.
        predictions: (n, m), by a model that was not fitted on these rows.
        folds: Of the cross-fitting.
        seed: Of the folds.
    """
    order = np.random.default_rng(seed).permutation(int(log.units.max()) + 1)
    fold = order[log.units] % folds
    fitted = np.empty(predictions.shape)
    for number in range(folds):
        held = fold == number
        slope, offsets = _calibration(log, predictions, log.known & ~held)
        fitted[held] = np.clip(slope * predictions[held] + offsets, *log.bounds)
    return fitted


def _calibration(
    log: BanditLog, predictions: FloatArray, used: BoolArray
) -> tuple[float, FloatArray]:
    """A slope, and (m,) offsets, by ridge regression; only what departs from the mean is drawn."""
    if used.sum() < _LEAST_ROWS:
        return 0.0, np.full(log.arms, np.nanmean(log.reward))
    x, y = log.at_chosen(predictions)[used], log.reward[used]
    centre, scale = float(x.mean()), float(x.std()) or 1.0
    design = np.column_stack(
        [np.ones(len(x)), (x - centre) / scale, np.eye(log.arms)[log.chosen[used]]]
    )
    penalty = np.full(design.shape[1], _PRIOR_CELLS)
    penalty[:2] = _FREE
    found = np.linalg.solve(design.T @ design + np.diag(penalty), design.T @ y)
    slope = float(found[1]) / scale
    return slope, found[0] - slope * centre + found[2:]
