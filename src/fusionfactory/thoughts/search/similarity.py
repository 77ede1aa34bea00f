"""Vectors whose cosine says how alike questions are, from any encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from fusionfactory.encoders import Encoder, make_encoder
from fusionfactory.encoders.base import check_texts
from fusionfactory.errors import InputError
from fusionfactory.routers.views import Views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

__all__ = ["SimilarityEncoder"]


class SimilarityEncoder(Encoder):
    """An encoder's columns, weighed for distances as the routers' nearest neighbours weigh them.

    By meaning where the encoder knows it, else by words, with a little of the surface (`Views`).
    An embedding alone stays as it is.

    Args:
        encoder: An encoder's name, or an encoder; one that is fitted already is used as it is.

    Attributes:
        encoder_: Fitted.
        views_: The weights of its columns.
    """

    kind: ClassVar[str] = "part"

    encoder_: Encoder
    views_: Views

    def __init__(self, *, encoder: str | Encoder = "text") -> None:
        self.encoder = encoder

    @property
    def pretrained(self) -> bool:
        """False: the weights depend on the texts' vectors."""
        return False

    def fit(self, texts: Sequence[str]) -> Self:
        """Learns from the templates' questions; forgets any earlier fit.

        Raises:
            InputError: There is no text.
        """
        texts = check_texts(texts)
        if not texts:
            msg = "the similarity of texts cannot be fitted on none"
            raise InputError(msg, field="texts")
        self.reset()
        encoder = make_encoder(self.encoder)
        self.encoder_ = encoder if encoder.is_fitted else encoder.clone().fit(texts)
        self.views_ = Views().fit(self.encoder_.encode(texts), self.encoder_)
        return self

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Returns (n, d) float32.

        Raises:
            NotFittedError: Before `fit`.
        """
        self.check_fitted()
        texts = check_texts(texts)
        if not texts:
            return self.views_.metric_[None][:0]
        return self.views_.metric(self.encoder_.encode(texts))
