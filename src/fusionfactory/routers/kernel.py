"""Kernel ridge regression with a Gaussian kernel, all arms at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

__all__ = ["KernelRidge"]

_CHUNK = 512


class KernelRidge(Estimator):
    """f(x) = kernel(x, bank) @ dual, kernel(a, b) = exp(-gamma |a - b|^2).

    Args:
        penalty: Added to the kernel's diagonal.
        gamma: Of the kernel.
    """

    bank_: FloatArray
    dual_: FloatArray

    def __init__(self, *, penalty: float = 6.0, gamma: float = 1.0) -> None:
        self.penalty = penalty
        self.gamma = gamma

    def fit(self, features: FloatArray, targets: FloatArray) -> KernelRidge:
        """Solves for (n, d) features and (n, m) complete targets whose mean is near 0."""
        from scipy.linalg import solve

        self.reset()
        self.bank_ = features
        gram = self._kernel(features).astype(np.float64)
        gram[np.diag_indices(len(gram))] += self.penalty
        self.dual_ = solve(gram, targets, assume_a="pos", overwrite_a=True, check_finite=False)
        self.dual_ = self.dual_.astype(np.float32)
        return self

    @classmethod
    def mean(cls, members: Sequence[KernelRidge]) -> KernelRidge:
        """One regression that predicts the mean of several: banks side by side, duals divided."""
        merged = members[0].clone()
        merged.bank_ = np.concatenate([member.bank_ for member in members])
        merged.dual_ = np.concatenate([member.dual_ for member in members]) / len(members)
        merged.bank_, first = np.unique(merged.bank_, axis=0, return_inverse=True)
        dual = np.zeros((len(merged.bank_), merged.dual_.shape[1]), dtype=np.float32)
        np.add.at(dual, first.ravel(), merged.dual_)
        merged.dual_ = dual
        return merged

    def _kernel(self, features: FloatArray) -> FloatArray:
        own = (features**2).sum(axis=1)[:, None]
        bank = (self.bank_**2).sum(axis=1)
        distance = own + bank - 2.0 * (features @ self.bank_.T)
        return np.asarray(np.exp(-self.gamma * np.maximum(distance, 0.0)))

    def predict(self, features: FloatArray) -> FloatArray:
        """(n, m) predictions."""
        parts = [
            self._kernel(features[i : i + _CHUNK]) @ self.dual_
            for i in range(0, len(features), _CHUNK)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.dual_.shape[1]))
