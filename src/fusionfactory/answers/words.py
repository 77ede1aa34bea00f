"""The words of responses, hashed: what a model of right and wrong answers reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scipy.sparse import csr_matrix

__all__ = ["WORDS", "hashed_words"]

WORDS = 1 << 16
"""Columns that words and pairs of words are hashed to."""

_TOKENS = r"\w+|[^\w\s]"


def hashed_words(responses: Iterable[str | None]) -> csr_matrix:
    """(r, `WORDS`) float32: which words, signs and pairs of neighbours occur; rows of unit length.

    Args:
        responses: r texts; the row of None is empty.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        n_features=WORDS,
        ngram_range=(1, 2),
        token_pattern=_TOKENS,
        binary=True,
        alternate_sign=False,
        dtype="float32",
    )
    return hashing.transform([text or "" for text in responses])
