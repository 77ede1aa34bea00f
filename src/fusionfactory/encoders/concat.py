"""Several encoders as one: their columns side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from fusionfactory.encoders import make_encoder
from fusionfactory.encoders.base import Encoder, check_texts
from fusionfactory.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

__all__ = ["ConcatEncoder"]


class ConcatEncoder(Encoder):
    """The columns of several encoders, unscaled, in the order of the parts; `minilm+text`.

    Args:
        parts: Encoders or their specs.

    Attributes:
        parts_: The parts that `encode` asks, those that needed it fitted.
    """

    name: ClassVar[str] = "concat"

    parts_: list[Encoder]

    def __init__(self, *, parts: Sequence[str | Encoder] = ()) -> None:
        self.parts = parts

    @classmethod
    def from_spec(cls, argument: str) -> Self:
        """Always an error: a sum is written `minilm+text`.

        Raises:
            InputError: Always.
        """
        msg = f"write a sum of encoders as 'minilm+text', not 'concat:{argument}'"
        raise InputError(msg, field="encoder")

    @property
    def pretrained(self) -> bool:
        """Whether all parts are."""
        return all(part.pretrained for part in self._made())

    @property
    def is_fitted(self) -> bool:
        """Whether all parts are."""
        return all(part.is_fitted for part in self._made())

    def fit(self, texts: Sequence[str]) -> Self:
        """Fits copies of the parts that need it; the parts given stay as they are."""
        self.reset()
        parts = self._made()
        self.parts_ = [p if p.pretrained else p.clone().fit(texts) for p in parts]
        return self

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Returns (n, sum of d) float32."""
        self.check_fitted()
        texts = check_texts(texts)
        blocks = [part.encode(texts) for part in self._made()]
        self._widths = [block.shape[1] for block in blocks]
        return np.hstack(blocks).astype(np.float32, copy=False)

    def blocks(self, width: int) -> list[tuple[str, int]]:
        """The blocks of all parts; see `Encoder.blocks`."""
        parts = self._made()
        widths = getattr(self, "_widths", None) or [p.encode([""]).shape[1] for p in parts]
        return [b for p, own in zip(parts, widths, strict=True) for b in p.blocks(own)]

    def _made(self) -> list[Encoder]:
        fitted: list[Encoder] | None = getattr(self, "parts_", None)
        if fitted is not None:
            return fitted
        if not self.parts:
            msg = "name at least one encoder"
            raise InputError(msg, field="parts")
        return [make_encoder(part) for part in self.parts]
