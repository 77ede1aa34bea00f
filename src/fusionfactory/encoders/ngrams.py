"""Words and character n-grams of a text, and their fitted TF-IDF projection."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy.sparse import csr_array

    from fusionfactory.types import FloatArray

__all__ = ["NgramProjection", "char_ngrams", "clip_text", "word_ngrams"]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_HEAD, _TAIL = 6000, 2000
_MEMO_WORDS, _MEMO_LENGTH = 50_000, 40
_MIN_TEXTS_PER_COUNT = 100
_NEGLIGIBLE = 1e-5


def clip_text(text: str) -> str:
    """The first 6,000 and the last 2,000 characters of a longer text, so that time is bounded."""
    return text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\n{text[-_TAIL:]}"


def word_ngrams(text: str) -> list[str]:
    """Lower-case words and marks, and pairs of neighbours."""
    tokens = _TOKEN.findall(text.lower())
    return tokens + [f"{a} {b}" for a, b in pairwise(tokens)]


def char_ngrams(text: str, low: int, high: int) -> list[str]:
    """All n-grams of `low` to `high` characters inside the words, each word set in blanks."""
    return [gram for word in text.split() for gram in _grams_of_word(word, low, high)]


def _grams_of_word(word: str, low: int, high: int) -> list[str]:
    padded = f" {word} "
    size = len(padded)
    return [padded[i : i + n] for n in range(low, high + 1) for i in range(max(size - n, 0) + 1)]


class NgramProjection(Estimator):
    """Sublinear TF-IDF rows of unit length, reduced by a truncated SVD (latent semantic analysis).

    Deerwester et al. (1990). Fitted with scikit-learn's randomised SVD.

    Args:
        unit: `word` for words and pairs of words, `char` for 2- to 4-grams inside words, whose
            case counts.
        dims: Columns at most; fewer where there are fewer texts or terms.
        max_terms: Size of the vocabulary at most, the most frequent terms first.
        min_count: Texts a term must occur in; lower for fewer than some hundred texts.
        seed: Of the randomised SVD.

    Attributes:
        terms_: UTF-8 bytes of the terms, joined by newlines.
        idf_: (terms,) float32.
        components_: (terms, dims) float32.
    """

    terms_: np.ndarray
    idf_: np.ndarray
    components_: np.ndarray

    def __init__(
        self,
        *,
        unit: str = "word",
        dims: int = 128,
        max_terms: int = 20_000,
        min_count: int = 3,
        seed: int = 0,
    ) -> None:
        self.unit = unit
        self.dims = dims
        self.max_terms = max_terms
        self.min_count = min_count
        self.seed = seed

    def fit(self, texts: Sequence[str]) -> Self:
        """Learns vocabulary, weights and components from clipped texts."""
        from sklearn.utils.extmath import randomized_svd

        self.reset()
        for name in ("_index", "_memo"):
            self.__dict__.pop(name, None)
        in_texts = Counter(term for text in texts for term in self._distinct(text))
        wanted = max(1, min(self.min_count, len(texts) // _MIN_TEXTS_PER_COUNT))
        wanted = min(wanted, max(in_texts.values(), default=1))
        frequent = [(-count, term) for term, count in in_texts.items() if count >= wanted]
        terms = sorted(term for _, term in sorted(frequent)[: self.max_terms])
        seen = np.array([in_texts[term] for term in terms], dtype=np.float64)
        idf = np.log((1 + len(texts)) / (1 + seen)) + 1
        self._store(terms, idf, np.zeros((len(terms), 0)))
        dims = min(self.dims, len(terms), len(texts))
        if dims:
            weights = self._weigh(texts)
            _, strength, rows = randomized_svd(weights, dims, n_iter=3, random_state=self.seed)
            self._store(terms, idf, rows[strength > strength[0] * _NEGLIGIBLE].T)
        return self

    def _store(self, terms: list[str], idf: np.ndarray, components: np.ndarray) -> None:
        self.terms_ = np.frombuffer("\n".join(terms).encode(), dtype=np.uint8)
        self.idf_ = idf.astype(np.float32)
        self.components_ = np.ascontiguousarray(components, dtype=np.float32)

    def transform(self, texts: Sequence[str]) -> FloatArray:
        """(n, d) float32 rows of clipped texts.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        if not self.components_.size:
            return np.zeros((len(texts), self.components_.shape[1]), dtype=np.float32)
        return np.asarray(self._weigh(texts) @ self.components_)

    def _weigh(self, texts: Sequence[str]) -> csr_array:
        from scipy.sparse import csr_array

        ends: list[int] = [0]
        ids: list[int] = []
        counts: list[int] = []
        for text in texts:
            found = Counter(self._ids(text))
            ids.extend(found.keys())
            counts.extend(found.values())
            ends.append(len(ids))
        columns = np.array(ids, dtype=np.int32)
        weights = (1.0 + np.log(np.array(counts, dtype=np.float32))) * self.idf_[columns]
        sums = np.zeros(len(texts))
        starts = np.array(ends[:-1])
        filled = np.diff(ends) > 0
        if filled.any():
            sums[filled] = np.add.reduceat(np.square(weights, dtype=np.float64), starts[filled])
        norms = np.sqrt(np.where(filled, sums, 1.0)).astype(np.float32)
        weights /= np.repeat(norms, np.diff(ends))
        shape = (len(texts), len(self.idf_))
        return csr_array((weights, columns, np.array(ends, dtype=np.int32)), shape=shape)

    def _distinct(self, text: str) -> set[str]:
        if self.unit == "word":
            return set(word_ngrams(text))
        return {gram for word in set(text.split()) for gram in _grams_of_word(word, 2, 4)}

    @cached_property
    def _index(self) -> dict[str, int]:
        terms = self.terms_.tobytes().decode()
        return {term: i for i, term in enumerate(terms.split("\n"))} if terms else {}

    def _ids(self, text: str) -> list[int]:
        index = self._index
        if self.unit == "word":
            return [index[term] for term in word_ngrams(text) if term in index]
        ids: list[int] = []
        for word in text.split():
            ids.extend(self._ids_of_word(word))
        return ids

    def _ids_of_word(self, word: str) -> tuple[int, ...]:
        ids = self._memo.get(word)
        if ids is None:
            index = self._index
            ids = tuple(index[gram] for gram in _grams_of_word(word, 2, 4) if gram in index)
            if len(self._memo) < _MEMO_WORDS and len(word) <= _MEMO_LENGTH:
                self._memo[word] = ids
        return ids

    @cached_property
    def _memo(self) -> dict[str, tuple[int, ...]]:
        return {}
