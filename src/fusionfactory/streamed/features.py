"""Rows of more texts than memory holds, encoded once and kept in files."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from fusionfactory.encoders import Encoder
    from fusionfactory.types import FloatArray

__all__ = ["Features"]

_AT_ONCE = 4096
"""Texts that the encoder is given: it may need far more memory for them than their rows take."""


class Features:
    """The rows of texts that come in chunks, encoded when they are first asked for.

    They take 4 d bytes per text on disk, and the memory of one chunk's rows. Within a chunk each
    distinct text is encoded once.

    Args:
        chunks: Gives the chunks of texts, the same ones each time.
        encoder: Fitted.
        folder: Where the rows are kept; nothing else may write there.
    """

    def __init__(
        self, chunks: Callable[[], Iterable[Sequence[str]]], encoder: Encoder, folder: Path
    ) -> None:
        self.encoder = encoder
        self._chunks = chunks
        self._folder = folder

    def __iter__(self) -> Iterator[FloatArray]:
        """The (n, d) float32 rows of every chunk."""
        for number in range(len(self._seconds)):
            yield np.load(self._file(number))

    @property
    def us_per_query(self) -> float:
        """Microseconds per distinct text that was encoded, as a chunk counts them."""
        seconds, texts = np.sum(self._seconds, axis=0)
        return float(1e6 * seconds / texts)

    @cached_property
    def _seconds(self) -> list[tuple[float, int]]:
        """Encodes everything; of every chunk the seconds that took, and its distinct texts."""
        self._folder.mkdir(parents=True, exist_ok=True)
        spent = []
        for number, texts in enumerate(self._chunks()):
            distinct = list(dict.fromkeys(texts))
            start = time.perf_counter()
            rows = np.concatenate([self.encoder.encode(part) for part in _parts(distinct)])
            spent.append((time.perf_counter() - start, len(distinct)))
            place = dict(zip(distinct, range(len(distinct)), strict=True))
            np.save(self._file(number), rows[[place[text] for text in texts]])
        return spent

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.npy"


def _parts(texts: list[str]) -> Iterator[list[str]]:
    return (texts[start : start + _AT_ONCE] for start in range(0, len(texts), _AT_ONCE))
