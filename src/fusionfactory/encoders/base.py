"""The encoder contract: texts in, one float32 row per text out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from fusionfactory.errors import InputError
from fusionfactory.estimator import Estimator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

__all__ = ["Encoder", "check_texts"]


class Encoder(Estimator, ABC):
    """Turns texts into rows of numbers.

    A pretrained encoder ignores `fit` and is `is_fitted` from the start; a fitted one (`text`)
    learns from the training texts. The constructor loads nothing: weights come on first use.
    """

    kind: ClassVar[str] = "encoder"

    @classmethod
    def from_spec(cls, argument: str) -> Self:
        """Builds the encoder from what follows `name:` in its spec; `` where nothing does.

        Raises:
            InputError: The argument cannot be used.
        """
        if argument:
            msg = f"the {cls.name} encoder takes no argument, got {argument!r}"
            raise InputError(msg, field="encoder")
        return cls()

    @property
    def pretrained(self) -> bool:
        """Whether `encode` needs no `fit`."""
        return True

    def fit(self, texts: Sequence[str]) -> Self:
        """Learns from the training texts; returns self."""
        return self

    @property
    def is_fitted(self) -> bool:
        """Whether `encode` may be called."""
        return self.pretrained or bool(self._fitted_names())

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Returns (n, d) float32, row i for text i; a text's row does not depend on the others.

        Raises:
            NotFittedError: A fitted encoder before `fit`.
            InputError: `texts` is one text, not a sequence of texts.
            EncoderError: The model or the endpoint failed.
        """

    def blocks(self, width: int) -> list[tuple[str, int]]:
        """Kinds of columns from left to right, and how many of each.

        Args:
            width: Columns of an encoded row.

        Returns:
            Pairs such as `("semantic", 384)`; kinds are semantic, words, characters and surface.
        """
        return [("semantic", width)]


def check_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list that can be written as UTF-8; half surrogate pairs become `?`.

    Raises:
        InputError: `texts` is one text, or holds something else than texts.
    """
    if isinstance(texts, str):
        msg = "expected a list of texts, got one text: wrap it in a list"
        raise InputError(msg, field="texts")
    checked = []
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            msg = f"text {i} is a {type(text).__name__}, expected str"
            raise InputError(msg, field="texts")
        checked.append(text if _is_utf8(text) else text.encode(errors="replace").decode())
    return checked


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
