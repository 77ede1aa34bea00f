"""Whether the similarity of the nearest template tells on which queries templates help.

A rule "this candidate where the nearest template is at least so similar, else the baseline" is
learnt on all folds but one and tried on that one, and so is the choice by the task alone. Only
where the rule beats that choice on the held-out folds, by the gate's margin, is it used. There is
none for unknown tasks: how similar is similar differs from task to task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fusionfactory.thoughts.gating.evidence import NONE, paired_mean

if TYPE_CHECKING:
    from fusionfactory.thoughts.gating.evidence import Trials
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["LEAST_QUERIES", "Nearness", "near_rules"]

LEAST_QUERIES = 40
"""Train queries of known similarity and outcome below which no threshold is tried."""

_FOLDS = 5
_STEPS = 10


class Nearness(NamedTuple):
    """Column of the candidate that is used from a similarity on."""

    candidate: int
    threshold: float


def near_rules(
    trials: Trials,
    similarity: FloatArray,
    costs: FloatArray,
    margin: float,
    *,
    seed: int = 0,
) -> list[Nearness | None]:
    """The rule of every task; None where it is worth nothing.

    Args:
        trials: n queries, c candidates, t tasks.
        similarity: (n,) of each query's nearest template; NaN where unknown.
        costs: (t + 1, c) USD per query for the choice by task.
        margin: Standard errors by which the rule must beat the choice by task.
        seed: Of the folds; near-duplicates share one.
    """
    _, group = np.unique(trials.groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(int(group.max()) + 1)
    fold = order[group] % _FOLDS
    known = ~np.isnan(similarity)
    scopes = [(trials.tasks == task) & known for task in range(trials.count)]
    tried = [_tried(trials, scope) for scope in scopes]
    ahead = np.full((len(scopes), len(fold)), np.nan)
    for held in range(_FOLDS):
        rest = fold != held
        by_task = trials.rows(np.nonzero(rest)[0]).weigh().best(margin, costs)
        for number, scope in enumerate(scopes):
            rule = _learn(tried[number], similarity, scope & rest)
            rows = np.nonzero(scope & ~rest)[0]
            if rule and rows.size:
                chosen = _gained(trials.differences[rows], by_task[number])
                gain = trials.differences[rows, rule.candidate]
                # What the candidate missed says nothing of the rule, on either side of it.
                got = np.where(similarity[rows] >= rule.threshold, gain, 0.0 * gain)
                ahead[number, rows] = got - chosen
    worth = [_worth(lead, trials.groups, margin) for lead in ahead]
    return [
        _learn(mine, similarity, scope) if good else None
        for mine, scope, good in zip(tried, scopes, worth, strict=True)
    ]


def _tried(trials: Trials, scope: BoolArray) -> FloatArray:
    """(n, c) differences, NaN for candidates that too few of these queries are known of."""
    known = (~np.isnan(trials.differences[scope])).sum(axis=0)
    return np.where(known >= LEAST_QUERIES, trials.differences, np.nan)


def _gained(differences: FloatArray, chosen: int) -> FloatArray:
    return np.zeros(len(differences)) if chosen == NONE else differences[:, chosen]


def _worth(lead: FloatArray, groups: IntArray, margin: float) -> bool:
    mean, variance, queries = paired_mean(lead, groups)
    return queries >= LEAST_QUERIES and mean - margin * float(np.sqrt(variance)) > 0


def _learn(differences: FloatArray, similarity: FloatArray, scope: BoolArray) -> Nearness | None:
    """Candidate and threshold, of the deciles of similarity, with the highest mean gain."""
    gain, near = differences[scope], similarity[scope]
    if np.isnan(gain).all():
        return None
    thresholds = np.quantile(near, np.arange(_STEPS) / _STEPS)
    known = ~np.isnan(gain)
    used = (near >= thresholds[:, None]).astype(np.float64)
    total = used @ np.where(known, gain, 0.0)
    pairs = known.sum(axis=0)
    mean = np.where(pairs, total / np.maximum(1, pairs), -np.inf)
    step, candidate = np.unravel_index(int(mean.argmax()), mean.shape)
    return Nearness(int(candidate), float(thresholds[step]))
