"""`hashing`: signed hashing of words and character n-grams; learns nothing, loads nothing."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fusionfactory.encoders.base import Encoder, check_texts
from fusionfactory.encoders.ngrams import char_ngrams, clip_text, word_ngrams
from fusionfactory.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

__all__ = ["HashingEncoder"]


class HashingEncoder(Encoder):
    """Words, word pairs and character 3-4-grams, hashed with a sign, as rows of unit length.

    The signed hashing trick of Weinberger et al. (2009), with scikit-learn's MurmurHash3. Needs no
    fit and is the same on every machine. Of a text over 8,000 characters the first 6,000 and the
    last 2,000 are read.

    Args:
        dim: Number of columns.
    """

    name: ClassVar[str] = "hashing"

    def __init__(self, *, dim: int = 512) -> None:
        self.dim = dim

    @classmethod
    def from_spec(cls, argument: str) -> Self:
        """`hashing` or `hashing:1024`."""
        if not argument:
            return cls()
        if not argument.isdecimal() or int(argument) < 1:
            msg = f"expected a number of columns after 'hashing:', got {argument!r}"
            raise InputError(msg, field="encoder")
        return cls(dim=int(argument))

    @cached_property
    def _hasher(self) -> Any:  # noqa: ANN401  scikit-learn is untyped
        from sklearn.feature_extraction import FeatureHasher

        return FeatureHasher(self.dim, input_type="string", dtype=np.float32)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Returns (n, dim) float32 rows of unit length; of zeros for a text without characters."""
        texts = check_texts(texts)
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        rows: FloatArray = self._hasher.transform(
            [_features(clip_text(text)) for text in texts]
        ).toarray()
        rows = np.sign(rows) * np.sqrt(np.abs(rows))
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(norms > 0, norms, 1.0)
        return rows


def _features(text: str) -> list[str]:
    return [f"w {term}" for term in word_ngrams(text)] + char_ngrams(text.lower(), 3, 4)
