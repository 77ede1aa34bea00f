"""`file`: precomputed embeddings from a Parquet file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import polars as pl

from fusionfactory.encoders import make_encoder
from fusionfactory.encoders.base import Encoder, check_texts
from fusionfactory.encoders.cache import text_key
from fusionfactory.errors import EncoderError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray

__all__ = ["FileEncoder"]

_SHOWN = 60


class FileEncoder(Encoder):
    """Rows that someone computed before, found by the SHA-256 of the text.

    The Parquet file has the columns `text_sha256` (hexadecimal, of the exact text in UTF-8) and
    `embedding` (lists or arrays of numbers, all of one length).

    Args:
        path: The file.
        fallback: Encoder, or its spec, for texts that the file does not hold; it must be pretrained
            and of the same dimension, and ought to be what made the file. None: they are an error.
    """

    name: ClassVar[str] = "file"

    def __init__(self, *, path: str, fallback: str | Encoder | None = None) -> None:
        self.path = path
        self.fallback = fallback

    @classmethod
    def from_spec(cls, argument: str) -> Self:
        """`file:PATH.parquet` or `file:PATH.parquet|minilm`."""
        path, _, fallback = argument.partition("|")
        if not path:
            msg = "name a file, for example file:embeddings.parquet"
            raise InputError(msg, field="encoder")
        return cls(path=path, fallback=fallback or None)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Returns (n, d) float32 rows of the file.

        Raises:
            EncoderError: The file is malformed, or lacks a text and there is no fallback.
        """
        texts = check_texts(texts)
        index, matrix = _read(Path(self.path).expanduser())
        places = [index.get(text_key(text), -1) for text in texts]
        missing = {text: None for text, place in zip(texts, places, strict=True) if place < 0}
        rows = matrix[places]
        if missing:
            computed = self._fall_back(list(missing), matrix.shape[1])
            for row, text in enumerate(texts):
                if text in computed:
                    rows[row] = computed[text]
        return rows

    def _fall_back(self, texts: list[str], dim: int) -> dict[str, FloatArray]:
        if self.fallback is None:
            text = texts[0] if len(texts[0]) <= _SHOWN else f"{texts[0][:_SHOWN]}..."
            msg = (
                f"{self.path} holds no embedding of {text!r} ({len(texts)} texts are missing): add "
                f"them, or let another encoder embed them, for example file:{self.path}|minilm"
            )
            raise EncoderError(msg)
        encoder = make_encoder(self.fallback)
        if not encoder.pretrained:
            msg = f"{encoder.name} is fitted, so its rows cannot stand beside those of a file"
            raise InputError(msg, field="fallback")
        rows = encoder.encode(texts)
        if rows.shape[1] != dim:
            msg = f"{encoder.name} gives {rows.shape[1]} columns, but {self.path} has {dim}"
            raise EncoderError(msg)
        return dict(zip(texts, rows, strict=True))


def _read(path: Path) -> tuple[dict[bytes, int], FloatArray]:
    try:
        stat = path.stat()
    except OSError as error:
        msg = f"cannot read the embeddings {path}: {error.strerror}"
        raise EncoderError(msg) from error
    return _read_version(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _read_version(path: Path, _modified: int, _size: int) -> tuple[dict[bytes, int], FloatArray]:
    try:
        frame = pl.read_parquet(path, columns=["text_sha256", "embedding"])
        keys = [bytes.fromhex(key) for key in frame["text_sha256"].to_list()]
        widths = frame["embedding"].to_list()[:1]
        dim = len(widths[0]) if widths else 0
        matrix = frame["embedding"].cast(pl.Array(pl.Float32, dim)).to_numpy()
    except (pl.exceptions.PolarsError, OSError, ValueError, TypeError) as error:
        msg = (
            f"{path} is no file of embeddings: {error}; expected Parquet with the columns "
            "text_sha256 (hexadecimal) and embedding (arrays of one length)"
        )
        raise EncoderError(msg) from error
    if not dim or not np.isfinite(matrix).all():
        msg = f"{path} holds no embeddings, or some that are not finite"
        raise EncoderError(msg)
    return {key: i for i, key in enumerate(keys)}, np.array(matrix, dtype=np.float32)
