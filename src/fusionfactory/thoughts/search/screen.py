"""A bound on every cosine at half its price: the rows' main directions, and what is left of them.

Rows are turned so that their directions of most variance come first. The product of two rows is the
product of their first halves and that of the rest, which is at most the product of the rests'
lengths (Cauchy and Schwarz). Embeddings vary in few directions, so that the rest is short, the
bound is close, and few rows need to be compared in full. The answer stays exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray

__all__ = ["Screen"]

_SAMPLE = 20_000
_CHUNK = 65_536
_SLACK = 1e-5
"""Added to the squared length of the rest, far above what single precision loses."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Rows whose products are no less than those of the rows that they stand for.

    Attributes:
        directions: (d, p) float32, orthonormal.
        rows: (n, p + 1) float32: the row along the directions, and the length of its rest.
    """

    directions: FloatArray
    rows: FloatArray

    @classmethod
    def of(cls, rows: FloatArray) -> Self:
        """The screen of (n, d) rows of length 1 or 0, in the d / 2 directions of most variance."""
        sample = rows[:: max(len(rows) // _SAMPLE, 1)]
        _, vectors = np.linalg.eigh((sample.T @ sample).astype(np.float64))
        directions = np.ascontiguousarray(vectors[:, rows.shape[1] // 2 :], dtype=np.float32)
        made = np.empty((len(rows), directions.shape[1] + 1), dtype=np.float32)
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            made[part] = _turned(rows[part], directions)
        return cls(directions, made)

    def part(self, rows: slice) -> Screen:
        """The screen of some of the rows."""
        return Screen(self.directions, self.rows[rows])

    def turned(self, queries: FloatArray) -> FloatArray:
        """(q, p + 1) float32: queries as the screen's rows are."""
        return _turned(queries, self.directions)


def _turned(rows: FloatArray, directions: FloatArray) -> FloatArray:
    along = rows @ directions
    length, main = (np.einsum("nd,nd->n", part, part) for part in (rows, along))
    rest = np.sqrt(np.maximum(length - main, 0.0) + np.float32(_SLACK))
    return np.hstack([along, rest[:, None]])
