"""`st`: any sentence-transformers model, from a hub or a folder."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fusionfactory.encoders.cached import CachedEncoder
from fusionfactory.errors import EncoderError, InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fusionfactory.types import FloatArray

__all__ = ["SentenceTransformerEncoder"]

_TEXTS_PER_BLOCK = 256


class SentenceTransformerEncoder(CachedEncoder):
    """Rows as the model gives them, scaled to unit length. Needs the extra `hub`.

    Args:
        model: Name on the hub, or a folder. The cache goes by this name and the revision: keep
            another model under another name.
        revision: Commit or tag on the hub; None for the newest.
        batch: Texts in one call of the model.
        cache: Whether to keep rows on disk.
    """

    name: ClassVar[str] = "st"

    def __init__(
        self, *, model: str, revision: str | None = None, batch: int = 32, cache: bool = True
    ) -> None:
        self.model = model
        self.revision = revision
        self.batch = batch
        self.cache = cache

    @classmethod
    def from_spec(cls, argument: str) -> Self:
        """`st:NAME`."""
        if not argument:
            msg = "name a model, for example st:sentence-transformers/all-mpnet-base-v2"
            raise InputError(msg, field="encoder")
        return cls(model=argument)

    def fingerprint(self) -> str:
        """Name and revision of the model."""
        return f"st:{self.model}@{self.revision or ''}"

    def embed(self, texts: Sequence[str]) -> Iterator[FloatArray]:
        """Yields blocks of rows of unit length.

        Raises:
            MissingExtraError: The `hub` extra is absent.
            EncoderError: The model cannot be loaded or fails.
        """
        model = _load(self.model, self.revision)
        for start in range(0, len(texts), _TEXTS_PER_BLOCK):
            part = list(texts[start : start + _TEXTS_PER_BLOCK])
            try:
                rows = model.encode(
                    part,
                    batch_size=self.batch,
                    normalize_embeddings=True,
                    convert_to_numpy=True,
                    show_progress_bar=False,
                )
            except RuntimeError as error:
                msg = f"{self.model} failed: {error}"
                raise EncoderError(msg) from error
            yield np.asarray(rows, dtype=np.float32)


_LOADED: dict[tuple[str, str | None], Any] = {}
_LOCK = threading.Lock()


def _load(model: str, revision: str | None) -> Any:  # noqa: ANN401  an optional package
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        what = "The st encoder"
        raise MissingExtraError(what, "hub") from error
    with _LOCK:
        if (model, revision) not in _LOADED:
            try:
                _LOADED[model, revision] = SentenceTransformer(model, revision=revision)
            except (OSError, ValueError, RuntimeError) as error:
                msg = f"cannot load the sentence-transformers model {model!r}: {error}"
                raise EncoderError(msg) from error
        return _LOADED[model, revision]
