"""The estimates and their intervals.

Intervals are for the mean over all queries like the logged ones, hence wide enough for the mean
over the logged queries too.

A router that explores little is tried on few rows, with large weights, and the plain interval is
then far too narrow: rewards that happen to be equal make its width 0. Two things are done about it.
Two trials are imagined beside those that were seen, one with the highest and one with the lowest
reward of the log (in the spirit of Agresti and Coull, 1998); and the quantile is Student's, with
the degrees of freedom that the kurtosis of the rows leaves to their variance. Without any trial the
interval is infinite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.off_policy.log import BanditLog
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Estimate", "difference", "doubly_robust", "ips", "one_hot", "snips", "student"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, or a mean difference, with its interval.

    Attributes:
        value: The estimate.
        low: Lower end of the interval; -inf where nothing was tried.
        high: Upper end.
        std_error: Standard error, imagined trials included.
    """

    value: float
    low: float
    high: float
    std_error: float


def one_hot(columns: IntArray, arms: int) -> FloatArray:
    """(n, arms) probabilities of a target that chooses these columns for sure."""
    return np.eye(arms)[columns]


def ips(
    log: BanditLog, target: FloatArray, baseline: FloatArray | None = None, *, level: float = 0.95
) -> Estimate:
    """Inverse propensity score estimate.

    Args:
        log: n rows, m arms.
        target: (n, m) probability with which the target chooses each arm.
        baseline: (n, m), of what it is compared with; None estimates the target's own mean.
        level: Of the interval.
    """
    nothing = np.zeros((len(log), log.arms))
    return doubly_robust(log, target, nothing, baseline, level=level)


def snips(
    log: BanditLog, target: FloatArray, baseline: FloatArray | None = None, *, level: float = 0.95
) -> Estimate:
    """Self-normalised estimate; less variance than `ips` for a bias that vanishes with the rows.

    Args:
        log: n rows, m arms.
        target: (n, m) probability with which the target chooses each arm.
        baseline: (n, m), of what it is compared with; None estimates the target's own mean.
        level: Of the interval.
    """
    differs = difference(target, baseline)
    if not differs.any():
        return _NOTHING
    value, influence, weights = _normalised(log, target)
    if baseline is not None:
        other_value, other, others = _normalised(log, baseline)
        centre = np.full(len(log), (value + other_value) / 2)
        value, influence, weights = value - other_value, influence - other, weights - others
    else:
        centre = np.full(len(log), value)
    tried = log.inverse * log.at_chosen(differs)
    imagined = _imagined(log, np.where(tried == 0, 0.0, weights), centre, baseline is not None)
    return _estimate(log, value + influence, imagined, level)


def doubly_robust(
    log: BanditLog,
    target: FloatArray,
    rewards: FloatArray,
    baseline: FloatArray | None = None,
    *,
    level: float = 0.95,
) -> Estimate:
    """Doubly robust estimate; rows whose reward is unknown still count for their queries.

    Args:
        log: n rows, m arms.
        target: (n, m) probability with which the target chooses each arm.
        rewards: (n, m) expected rewards by a model that was not fitted on the row it speaks of.
        baseline: (n, m), of what it is compared with; None estimates the target's own mean.
        level: Of the interval.
    """
    differs = difference(target, baseline)
    if not differs.any():
        return _NOTHING
    weights = log.inverse * log.at_chosen(differs)
    expected = log.at_chosen(rewards)
    direct = (differs * rewards).sum(axis=1)
    influence = direct + weights * np.nan_to_num(log.reward - expected)
    return _estimate(log, influence, _imagined(log, weights, expected, baseline is not None), level)


_NOTHING = Estimate(0.0, 0.0, 0.0, 0.0)
"""The gain of what never chooses differently."""


def difference(target: FloatArray, baseline: FloatArray | None) -> FloatArray:
    """(n, m) probabilities less those of the baseline, if there is one."""
    return target if baseline is None else target - baseline


def _normalised(log: BanditLog, target: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Self-normalised mean, (n,) influence around 0, and (n,) weights of mean 1."""
    weights = log.inverse * log.at_chosen(target)
    weights = weights / (weights.mean() or 1.0)
    mean = float((weights * np.nan_to_num(log.reward)).mean())
    return mean, weights * np.nan_to_num(log.reward - mean), weights


def _imagined(
    log: BanditLog, weights: FloatArray, expected: FloatArray, compared: bool
) -> FloatArray | None:
    """Influence of trials with the highest and the lowest reward, at the usual weight.

    Two for the target, and two for what it is compared with; None where either was never tried.
    """
    low, high = log.bounds
    found = []
    for sign in (1.0, -1.0) if compared else (1.0,):
        tried = weights * sign > 0
        if not tried.any():
            return None
        weight = sign * np.sqrt((weights[tried] ** 2).mean())
        found += [weight * (end - expected[tried].mean()) for end in (low, high)]
    return np.array(found)


def _estimate(
    log: BanditLog, influence: FloatArray, imagined: FloatArray | None, level: float
) -> Estimate:
    if imagined is None:
        return Estimate(float(influence.mean()), -np.inf, np.inf, np.inf)
    return student(log, influence, imagined, level)


def student(log: BanditLog, influence: FloatArray, imagined: FloatArray, level: float) -> Estimate:
    """Mean of (n,) influence values with its interval, as the module says.

    Args:
        log: Its units are independent of each other.
        influence: (n,).
        imagined: Of imagined trials, around 0; may be empty.
        level: Of the interval.
    """
    from scipy.stats import t

    value = float(influence.mean())
    centred = np.bincount(log.units, influence - value)
    count = len(centred)
    if count < 2:
        return Estimate(value, -np.inf, np.inf, np.inf)
    parts = np.concatenate([centred, imagined])
    error = float(np.sqrt((parts**2).sum() * count / (count - 1)) / len(log))
    half = error * float(t.ppf((1 + level) / 2, _degrees(parts)))
    return Estimate(value, value - half, value + half, error)


def _degrees(parts: FloatArray) -> float:
    """Degrees of freedom of a variance by its own relative error: 2 n / (kurtosis - 1)."""
    square = float((parts**2).mean())
    if square == 0:
        return 1.0
    kurtosis = float((parts**4).mean()) / square**2
    return float(np.clip(2 * len(parts) / (kurtosis - 1 + 2 / (len(parts) - 1)), 1, len(parts) - 1))
