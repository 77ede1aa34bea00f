"""What paired outcomes say about prompts' gains, task by task, when every task has few queries.

A task's own mean is noisy, so it is drawn towards the mean over tasks, and that towards 0, each as
far as its noise asks for: an empirical-Bayes model with normal errors (Efron and Morris 1975). The
spread of true gains is estimated, but never taken for less than `LEAST_SPREAD`, so that a task on
which templates hurt is not talked out of it by the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["LEAST_SPREAD", "NONE", "Evidence", "Trials", "paired_mean"]

LEAST_SPREAD = 0.05
"""Least standard deviation of true gains, over tasks and of their mean, in units of quality.

The gains by domain that the paper prints for the four arms of its thought level have .06.
"""

NONE = -1
"""In the place of a candidate's column: the baseline."""

_TIE = 0.005


@dataclass(frozen=True)
class Evidence:
    """Gains of c candidates over the baseline on t tasks and, last, on any other, as posteriors.

    Attributes:
        gain: (t + 1, c) means.
        error: (t + 1, c) standard deviations.
        queries: (t + 1, c) paired queries, near-duplicates counted once; the last row sums them.
    """

    gain: FloatArray
    error: FloatArray
    queries: IntArray

    def best(self, margin: float, costs: FloatArray) -> IntArray:
        """(t + 1,) columns of the candidates to use, `NONE` for the baseline.

        Args:
            margin: Standard errors by which a gain must exceed 0.
            costs: (t + 1, c) USD per query, NaN where unknown. Of the candidates whose gain is
                within half a point of the best, the cheapest is taken.
        """
        passed = self.gain - margin * self.error > 0
        gain = np.where(passed, self.gain, -np.inf)
        tied = passed & (gain >= gain.max(axis=1, keepdims=True) - _TIE)
        price = np.where(tied, np.nan_to_num(costs, nan=np.inf), np.inf)
        # By what is tied, then price, then gain; what is equal in all three in the caller's order.
        order = np.lexsort((-gain, price, ~tied), axis=1)[:, 0]
        return np.where(passed.any(axis=1), order, NONE)


@dataclass(frozen=True)
class Trials:
    """Paired differences in quality between candidates and the baseline.

    Attributes:
        differences: (n, c); NaN where either side is unknown.
        tasks: (n,) task numbers below `count`.
        groups: (n,) near-duplicates share a number and count as one query of their task.
        count: Number of tasks, t.
    """

    differences: FloatArray
    tasks: IntArray
    groups: IntArray
    count: int

    def rows(self, index: IntArray) -> Trials:
        """These queries only, among the same tasks."""
        return replace(
            self,
            differences=self.differences[index],
            tasks=self.tasks[index],
            groups=self.groups[index],
        )

    def weigh(self) -> Evidence:
        """The posterior of every candidate's true gain on every task."""
        columns = [self._column(values) for values in self.differences.T]
        gain, error, queries = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
        return Evidence(gain, error, queries)

    def _column(self, differences: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        means, variances, queries = [], [], []
        for task in range(self.count):
            mine = self.tasks == task
            mean, variance, size = paired_mean(differences[mine], self.groups[mine])
            means.append(mean)
            variances.append(variance)
            queries.append(size)
        gain, error = _posterior(np.array([*means, 0.0]), np.array([*variances, np.inf]))
        return gain, error, np.array([*queries, sum(queries)])


def paired_mean(differences: FloatArray, groups: IntArray) -> tuple[float, float, int]:
    """Mean of paired differences, its squared standard error, and the number of pairs.

    Half a win and half a loss are added beside one tie, as Agresti and Min (2005) do for paired
    proportions: no task is certain because its few queries agree. Without a pair the error is
    infinite.
    """
    known = ~np.isnan(differences)
    if not known.any():
        return 0.0, float("inf"), 0
    _, inverse = np.unique(groups[known], return_inverse=True)
    values = np.bincount(inverse, differences[known]) / np.bincount(inverse)
    size = len(values) + 2.0
    mean = float(values.sum() / size)
    variance = (float((values**2).sum()) + 1.0) / size - mean**2
    return mean, variance / size, len(values)


def _posterior(mean: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(t,) means and standard deviations of the true gains, from (t,) noisy ones."""
    seen = np.isfinite(variance)
    between, around = _spreads(mean[seen], variance[seen])
    prior = between * np.eye(len(mean)) + around
    solved = np.linalg.solve(prior[np.ix_(seen, seen)] + np.diag(variance[seen]), prior[seen])
    left = np.diag(prior) - (prior[:, seen] * solved.T).sum(axis=1)
    return solved.T @ mean[seen], np.sqrt(left)


def _spreads(mean: FloatArray, variance: FloatArray) -> tuple[float, float]:
    """Variance of the true gains between tasks, and of their mean around 0, by moments.

    The first is the estimate of DerSimonian and Laird (1986).
    """
    least = LEAST_SPREAD**2
    if not len(mean):
        return least, least
    weight = 1 / variance
    total = weight.sum()
    centre = (weight * mean).sum() / total
    excess = (weight * (mean - centre) ** 2).sum() - (len(mean) - 1)
    room = total - (weight**2).sum() / total
    between = max(least, float(excess / room)) if room > 1e-9 * total else least
    weight = 1 / (variance + between)
    centre = (weight * mean).sum() / weight.sum()
    return between, max(least, float(centre**2 - 1 / weight.sum()))
