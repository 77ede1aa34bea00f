"""Which task a query belongs to, and what that says of every arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["TaskHead", "label_means", "task_labels"]

_LEAST_QUERIES = 20


def task_labels(table: OutcomeTable) -> IntArray:
    """(n,) label numbers: task and domain where at least 20 queries share them, else the task."""
    both = pl.struct(pl.col("task").fill_null(""), pl.col("domain").fill_null(""))
    alone = pl.struct(pl.col("task").fill_null(""), pl.lit("").alias("domain"))
    label = pl.when(pl.len().over(both) >= _LEAST_QUERIES).then(both).otherwise(alone)
    ranks = table.queries.select(label.rank("dense").alias("rank"))["rank"]
    return ranks.to_numpy().astype(np.int64) - 1


def label_means(quality: FloatArray, labels: IntArray) -> FloatArray:
    """(n, m) mean quality of each row's label, from (n, m) qualities and (n,) labels."""
    names, index = np.unique(labels, return_inverse=True)
    member = np.eye(len(names))[index]
    means = (member.T @ quality) / member.sum(axis=0)[:, None]
    return np.asarray(means[index])


class TaskHead(Estimator):
    """Multinomial logistic regression of the task; its odds mix the tasks' mean qualities.

    Args:
        c: Inverse penalty.
    """

    labels_: IntArray
    coef_: FloatArray
    intercept_: FloatArray
    quality_: FloatArray

    def __init__(self, *, c: float = 1.0) -> None:
        self.c = c

    def fit(self, features: FloatArray, labels: IntArray, quality: FloatArray) -> TaskHead:
        """Learns from (n, d) features, (n,) labels and (n, m) complete qualities."""
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        self.reset()
        self.labels_ = names = np.unique(labels)
        self.quality_ = np.stack([quality[labels == name].mean(axis=0) for name in names])
        self.coef_ = np.zeros((features.shape[1], len(names)))
        self.intercept_ = np.zeros(len(names))
        if len(names) < 2:
            return self
        model = LogisticRegression(C=self.c, max_iter=200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, labels)
        coef, intercept = model.coef_.T, model.intercept_
        if len(names) == 2:
            coef, intercept = (
                np.hstack([-coef, coef]) / 2,
                np.concatenate([-intercept, intercept]) / 2,
            )
        self.coef_, self.intercept_ = coef, intercept
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """(n, m) expected quality."""
        return np.asarray(self._odds(features) @ self.quality_)

    def odds(self, features: FloatArray, count: int) -> FloatArray:
        """(n, count) probabilities of the labels from 0 on; 0 for labels not seen in training."""
        out = np.zeros((len(features), count))
        out[:, self.labels_] = self._odds(features)
        return out

    def _odds(self, features: FloatArray) -> FloatArray:
        logits = features @ self.coef_ + self.intercept_
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
