"""What different learners should see of the same features: columns reweighted by their kind."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.estimator import Estimator
from fusionfactory.routers.linear import unit_rows

if TYPE_CHECKING:
    from fusionfactory.encoders import Encoder
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Views"]

_LINEAR = {"semantic": 5.0, "words": 1.0, "characters": 1.0, "surface": 1.0}
_METRIC = {"semantic": 1.0, "words": 0.3, "characters": 0.0, "surface": 0.05}
_METRIC_BESIDE_SEMANTIC = {"semantic": 1.0, "words": 0.0, "characters": 0.0, "surface": 0.08}


class Views(Estimator):
    """Column weights for learners that are not indifferent to scale.

    Embeddings have rows of length 1 (others are brought there), the `text` encoder's columns have
    the weights that its docstring says. Distances go by meaning, or by words where nothing knows
    meaning, with a little of the surface; penalised linear models want embeddings at a scale
    comparable to the other columns; trees need no scale, and no embedding beside surface features;
    kernels take every embedding, the words with the characters, and the surface as a part of its
    own, so that each encoder has its own notion of what is near.
    """

    linear_: FloatArray
    metric_: FloatArray
    metric_columns_: IntArray
    tree_columns_: IntArray
    part_starts_: IntArray
    part_is_surface_: BoolArray

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
        parts = [
            (kind, sum(columns for _, columns in part))
            for kind, part in groupby(_numbered(blocks), key=lambda block: block[0])
        ]
        self.part_starts_ = np.cumsum([0, *(columns for _, columns in parts)])
        self.part_is_surface_ = np.array([kind == ("surface", 0) for kind, _ in parts])
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

    def kernel(self, features: FloatArray) -> list[FloatArray]:
        """(n, d_p) float32 per part, for kernels; rows of length 1, the surface of about 1."""
        out = []
        spans = zip(
            self.part_starts_[:-1], self.part_starts_[1:], self.part_is_surface_, strict=True
        )
        for start, stop, surface in spans:
            part = features[:, start:stop]
            scale = np.float32(1.0 / np.sqrt(stop - start))
            out.append(np.asarray(part * scale) if surface else unit_rows(part))
        return out


def _numbered(blocks: list[tuple[str, int]]) -> list[tuple[tuple[str, int], int]]:
    """Kind and columns of every block; kinds that are one part are called alike."""
    ngrams = {"words": "ngrams", "characters": "ngrams"}
    return [
        ((ngrams.get(kind, kind), number if kind == "semantic" else 0), columns)
        for number, (kind, columns) in enumerate(blocks)
    ]
