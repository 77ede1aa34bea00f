"""What different learners should see of the same features: columns reweighted by their kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Views"]

_LINEAR = {"semantic": 5.0, "words": 1.0, "characters": 1.0, "surface": 1.0}
_METRIC = {"semantic": 1.0, "words": 0.3, "characters": 0.0, "surface": 0.05}
_METRIC_BESIDE_SEMANTIC = {"semantic": 1.0, "words": 0.0, "characters": 0.0, "surface": 0.08}


class Views(Estimator):
    """Column weights for learners that are not indifferent to scale.

    Embeddings have rows of length 1 (others are brought there), the `text` encoder's columns have
    the weights that its docstring says. Distances go by meaning, or by words where nothing knows
    meaning, with a little of the surface; penalised linear models want embeddings at a scale
    comparable to the other columns; trees need no scale, and no embedding beside surface features.
    """

    linear_: FloatArray
    metric_: FloatArray
    metric_columns_: IntArray
    tree_columns_: IntArray

    def fit(self, features: FloatArray, encoder: Encoder) -> Views:
        """Reads the kinds of columns from the encoder and the length of rows from the features.

        Args:
            features: (n, d) encoded training queries.
            encoder: What encoded them.
        """
        self.reset()
        blocks = encoder.blocks(features.shape[1])
        kinds = np.repeat([kind for kind, _ in blocks], [columns for _, columns in blocks])
        semantic = kinds == "semantic"
        length = np.sqrt((features[:, semantic].astype(np.float64) ** 2).sum(axis=1).mean())
        unit = np.where(semantic, 1.0 / length if length > 0 else 1.0, 1.0)
        weights = _METRIC_BESIDE_SEMANTIC if semantic.any() else _METRIC
        self.linear_ = unit * [_LINEAR[kind] for kind in kinds]
        metric = unit * [weights[kind] for kind in kinds]
        self.metric_columns_ = np.nonzero(metric)[0]
        self.metric_ = metric[self.metric_columns_].astype(np.float32)
        beside = semantic.any() and (kinds == "surface").any()
        self.tree_columns_ = np.nonzero(~semantic if beside else np.ones(len(kinds), dtype=bool))[0]
        return self

    def linear(self, features: FloatArray) -> FloatArray:
        """(n, d) for penalised linear models."""
        return np.asarray(features * self.linear_)

    def metric(self, features: FloatArray) -> FloatArray:
        """(n, d') float32 for distances."""
        return np.asarray(features[:, self.metric_columns_] * self.metric_, dtype=np.float32)

    def trees(self, features: FloatArray) -> FloatArray:
        """(n, d'') for trees."""
        return features[:, self.tree_columns_]
