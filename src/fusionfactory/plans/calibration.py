"""Calibration: from a share of the votes to a probability, and how far probabilities are off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from fusionfactory.types import BoolArray, FloatArray

__all__ = ["Calibration", "expected_calibration_error"]

_BINS = 10
_EDGE = 1e-6


class Calibration(Estimator):
    """Logistic regression of the log-odds of a share (Platt, 1999); the order is kept."""

    slope_: float
    shift_: float

    def fit(self, share: FloatArray, right: BoolArray) -> Calibration:
        """Learns from (n,) shares in [0, 1], and whether each was right."""
        from sklearn.linear_model import LogisticRegression

        self.reset()
        self.slope_, self.shift_ = 1.0, 0.0
        if right.any() and not right.all():
            model = LogisticRegression(C=100.0).fit(_logit(share)[:, None], right)
            slope = float(model.coef_[0, 0])
            if slope > 0:
                self.slope_, self.shift_ = slope, float(model.intercept_[0])
        return self

    def predict(self, share: FloatArray) -> FloatArray:
        """(n,) probabilities."""
        return np.asarray(1.0 / (1.0 + np.exp(-(self.slope_ * _logit(share) + self.shift_))))


def _logit(share: FloatArray) -> FloatArray:
    share = np.clip(share, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(share / (1 - share)))


def expected_calibration_error(confidence: FloatArray, quality: FloatArray) -> float:
    """Mean distance of confidence and quality over ten bins of equally many queries.

    Args:
        confidence: (n,) in [0, 1].
        quality: (n,) what came out, in [0, 1]; NaN rows do not count.
    """
    known = ~np.isnan(quality)
    order = np.argsort(confidence[known], kind="stable")
    gap = (confidence[known] - quality[known])[order]
    return float(sum(abs(part.sum()) for part in np.array_split(gap, _BINS)) / max(len(gap), 1))
