"""`text`: the default encoder. TF-IDF of words and characters, and surface features; no model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from fusionfactory.encoders.base import Encoder, check_texts
from fusionfactory.encoders.ngrams import NgramProjection, clip_text
from fusionfactory.encoders.surface import SURFACE_NAMES, surface_features
from fusionfactory.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

__all__ = ["TextEncoder"]

_CLIP = 5.0
_ANALYSIS_WEIGHT = 5.0
_SMALLEST_SPREAD = 1e-6


class TextEncoder(Encoder):
    """Columns of three kinds, each with mean 0 over the training texts, clipped to [-5, 5].

    The first `word_dims` are a latent semantic analysis of words and pairs of words, the next
    `char_dims` one of character n-grams; both times 5, so that their common directions count more
    than their rare ones. The rest are `surface.SURFACE_NAMES` with deviation 1. `widths` tells the
    three apart. Of a text over 8,000 characters the first 6,000 and the last 2,000 are read.

    Args:
        word_dims: Columns for words at most; fewer for fewer texts.
        char_dims: Columns for character n-grams at most; 0 leaves them out.
        surface: Whether to append the surface features.
        seed: Of the randomised SVD.

    Attributes:
        words_: Fitted `NgramProjection`.
        chars_: Fitted `NgramProjection`.
        mean_: (d,) float32 of the training texts.
        spread_: (d,) float32 by which columns are divided: 1/5, or the deviation of a surface
            feature over the training texts, 1 where it is constant.
    """

    name: ClassVar[str] = "text"

    words_: NgramProjection
    chars_: NgramProjection
    mean_: np.ndarray
    spread_: np.ndarray

    def __init__(
        self, *, word_dims: int = 128, char_dims: int = 64, surface: bool = True, seed: int = 0
    ) -> None:
        self.word_dims = word_dims
        self.char_dims = char_dims
        self.surface = surface
        self.seed = seed

    @property
    def pretrained(self) -> bool:
        """False: it learns from the training texts."""
        return False

    def fit(self, texts: Sequence[str]) -> Self:
        """Learns vocabulary, components and scale from the training texts; forgets any earlier fit.

        Raises:
            InputError: There is no text.
        """
        texts = check_texts(texts)
        if not texts:
            msg = "the text encoder needs at least one text to fit"
            raise InputError(msg, field="texts")
        self.reset()
        clipped = [clip_text(text) for text in texts]
        self.words_ = NgramProjection(unit="word", dims=self.word_dims, seed=self.seed)
        self.chars_ = NgramProjection(unit="char", dims=self.char_dims, min_count=4, seed=self.seed)
        for part in (self.words_, self.chars_):
            part.fit(clipped)
        raw = self._raw(texts)
        spread = raw.std(axis=0)
        spread = np.where(spread > _SMALLEST_SPREAD, spread, 1.0)
        spread[: raw.shape[1] - self.widths[2]] = 1 / _ANALYSIS_WEIGHT
        self.mean_ = raw.mean(axis=0).astype(np.float32)
        self.spread_ = spread.astype(np.float32)
        return self

    @property
    def widths(self) -> tuple[int, int, int]:
        """Columns of the three kinds: words, characters, surface.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        analyses = (self.words_.components_.shape[1], self.chars_.components_.shape[1])
        return (*analyses, len(SURFACE_NAMES) if self.surface else 0)

    def blocks(self, width: int) -> list[tuple[str, int]]:
        """Words, characters and surface; see `Encoder.blocks`."""
        kinds = zip(("words", "characters", "surface"), self.widths, strict=True)
        return [(kind, columns) for kind, columns in kinds if columns]

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Returns (n, d) float32 in [-5, 5].

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        scaled = (self._raw(check_texts(texts)) - self.mean_) / self.spread_
        rows: FloatArray = np.clip(scaled, -_CLIP, _CLIP).astype(np.float32)
        return rows

    def _raw(self, texts: list[str]) -> FloatArray:
        clipped = [clip_text(text) for text in texts]
        blocks = [self.words_.transform(clipped), self.chars_.transform(clipped)]
        if self.surface:
            blocks.append(surface_features(texts))
        return np.hstack(blocks).astype(np.float64)
