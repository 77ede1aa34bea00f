"""A new arm's expected quality, from what a router expects of the known arms and a few labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.linalg import block_diag

from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

__all__ = ["Labels", "Newcomer", "Published"]

_LEVEL, _ARMS, _TASKS, _TEXT = 0.008, 0.7, 0.005, 0.01
"""Prior variances: of a newcomer's level, of its leaning to the known arms (shared by them), of its
bent for a task and for a topic."""
_LUCK, _NOISE = 0.3, 0.15
"""Variance that a label shares with the known arms' luck on the query, and its own."""
_REACH = 5.0
_PUBLISHED = 0.04
"""Standard deviation of a published score around what the arm reaches here."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What the new arm did on k queries.

    Attributes:
        known: (k, m) quality that the router expects of the known arms.
        luck: (k, m) how much better than that the known arms were; 0 where unknown.
        tasks: (k, t) task weights.
        topics: (k, d) rows of length 1 whose products say which queries are alike; d may be 0.
        quality: (k,) of the new arm.
    """

    known: FloatArray
    luck: FloatArray
    tasks: FloatArray
    topics: FloatArray
    quality: FloatArray

    @classmethod
    def none(cls, arms: int, tasks: int, topics: int) -> Labels:
        """No label at all, of so many columns each."""
        wide = np.zeros((0, arms))
        return cls(wide, wide, np.zeros((0, tasks)), np.zeros((0, topics)), np.zeros(0))


@dataclass(frozen=True, eq=False)
class Published:
    """Mean scores of the new arm that are known from elsewhere.

    Attributes:
        weights: (s, c) of the queries that stand for those it was scored on; rows sum to 1.
        known: (c, m) quality that the router expects of the known arms on them.
        tasks: (c, t) task weights.
        topics: (c, d) as in `Labels`.
        quality: (s,) the scores.
    """

    weights: FloatArray
    known: FloatArray
    tasks: FloatArray
    topics: FloatArray
    quality: FloatArray


class Newcomer(Estimator):
    """What a new arm's quality is, given the expected qualities of the known arms, task and text.

    A Gaussian process (Rasmussen and Williams 2006, chapter 2). Its mean before any label is that
    of the arms that the new one is like; its kernel adds a level, the known arms' deviations from
    that mean, the task, and the nearness of texts. A label is noisy, and shares a part of its noise
    with the known arms on the same query: where they were lucky, the new arm may have been, and
    their outcomes take that out (control variates). A published score is a label on the mean of
    many queries.

    Attributes:
        prior_: (m,) weights of the known arms before any label.
        bent_: (m,) further weights of the known arms' deviations, from labels.
        tasks_: (t,) quality to add on each task.
        offset_: Quality to add everywhere.
        anchors_: (k + c, d) labelled queries, and those that stand for published scores.
        pulls_: (k + c,) quality to add at each of them, and less the farther from it.
        doubt_: Standard deviation of the new arm's level.
    """

    prior_: FloatArray
    bent_: FloatArray
    tasks_: FloatArray
    offset_: float
    anchors_: FloatArray
    pulls_: FloatArray
    doubt_: float

    def describe(self, weights: FloatArray, tasks: int) -> Self:
        """Before any label.

        Args:
            weights: (m,) of the known arms, see `likeness`.
            tasks: Number of tasks.
        """
        self.reset()
        self.prior_, self.bent_ = weights, np.zeros(len(weights))
        self.tasks_, self.offset_ = np.zeros(tasks), 0.0
        self.anchors_, self.pulls_ = np.zeros((0, 0), dtype=np.float32), np.zeros(0)
        self.doubt_ = float(np.sqrt(_LEVEL))
        return self

    def learn(self, labels: Labels, published: Published | None = None) -> Self:
        """From labels, from published scores, or from both.

        Raises:
            NotFittedError: Before `describe`.
        """
        self.check_fitted()
        count = len(labels.quality)
        known, tasks, topics = labels.known, labels.tasks, labels.topics
        quality, means = labels.quality, np.eye(count)
        if published is not None:
            known = np.concatenate([known, published.known])
            tasks = np.concatenate([tasks, published.tasks])
            topics = np.concatenate([topics, published.topics])
            quality = np.concatenate([quality, published.quality])
            means = block_diag(means, published.weights)
        away, bent = means @ self._away(known), means @ tasks
        shared = _ARMS / away.shape[1]
        kernel = _LEVEL + shared * away @ away.T + _TASKS * bent @ bent.T
        kernel += means @ _near(topics, topics) @ means.T
        kernel += np.diag(np.repeat([_NOISE, _PUBLISHED**2], [count, len(quality) - count]))
        kernel[:count, :count] += _LUCK / away.shape[1] * labels.luck @ labels.luck.T
        inverse = np.linalg.inv(kernel)
        alpha = inverse @ (quality - means @ known @ self.prior_)
        self.offset_ = float(_LEVEL * alpha.sum())
        self.bent_, self.tasks_ = shared * (alpha @ away), _TASKS * (alpha @ bent)
        self.anchors_, self.pulls_ = topics.astype(np.float32), alpha @ means
        self.doubt_ = float(np.sqrt(max(_LEVEL - _LEVEL**2 * inverse.sum(), 0.0)))
        return self

    def predict(self, known: FloatArray, tasks: FloatArray, topics: FloatArray) -> FloatArray:
        """(n,) expected quality, from (n, m) of the known arms, (n, t) tasks and (n, d) topics."""
        own = known @ self.prior_ + self._away(known) @ self.bent_
        own = own + self.offset_ + tasks @ self.tasks_
        if not len(self.pulls_):
            return np.asarray(own)
        return np.asarray(own + _near(topics, self.anchors_) @ self.pulls_)

    def _away(self, known: FloatArray) -> FloatArray:
        """(n, m) the known arms' deviations from what the new one is expected to be."""
        return np.asarray(known - (known @ self.prior_)[:, None])


def _near(one: FloatArray, other: FloatArray) -> FloatArray:
    """(n, k) covariance by nearness of texts; 0 where nothing is known of them."""
    if not one.shape[1]:
        return np.zeros((len(one), len(other)))
    return np.asarray(_TEXT * np.exp(_REACH * (one @ other.T - 1.0)))
