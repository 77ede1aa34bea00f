"""Rows of a table's queries, encoded once for all routers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fusionfactory.encoders import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fusionfactory.types import FloatArray

__all__ = ["Encoded"]


class Encoded(Encoder):
    """A fitted encoder that remembers the rows of one table's queries.

    Args:
        encoder: Fitted.
        texts: To remember.
        encode: Computes their rows instead of the encoder's own method, and equal ones.
    """

    name = "encoded"

    def __init__(
        self,
        encoder: Encoder,
        texts: Sequence[str],
        encode: Callable[[Sequence[str]], FloatArray] | None = None,
    ) -> None:
        distinct = sorted(set(texts))
        start = time.perf_counter()
        self._encoder = encoder
        self._rows = (encode or encoder.encode)(distinct)
        self.us_per_query = 1e6 * (time.perf_counter() - start) / len(distinct)
        self._index = {text: row for row, text in enumerate(distinct)}

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """The remembered rows; rows of any other text are computed."""
        if not all(text in self._index for text in texts):
            return self._encoder.encode(texts)
        return self._rows[[self._index[text] for text in texts]]

    def blocks(self, width: int) -> list[tuple[str, int]]:
        """Those of the encoder."""
        return self._encoder.blocks(width)
