"""Encoders whose rows are expensive: each distinct text is looked up before it is computed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, TypeAlias

import numpy as np

from fusionfactory.encoders.base import Encoder, check_texts
from fusionfactory.encoders.cache import EmbeddingCache, session_cache, text_key
from fusionfactory.errors import EncoderError
from fusionfactory.types import FloatArray

__all__ = ["CachedEncoder", "Embedding"]

Embedding: TypeAlias = Callable[[Sequence[str]], Iterator[tuple[Sequence[int], FloatArray]]]
"""Distinct texts in, blocks of rows out in any order, each with the places of its texts."""


class CachedEncoder(Encoder):
    """Base of encoders with a model. Has a parameter `cache`: whether to use the cache on disk.

    A subclass yields rows block by block; every block is written to the cache as it comes, so that
    an interrupted run keeps what it has done.

    Attributes:
        movable: Whether any machine that can load the model gives the same rows, so that they may
            be computed elsewhere.
    """

    movable: ClassVar[bool] = True

    cache: bool

    @abstractmethod
    def fingerprint(self) -> str:
        """Names model, revision and every parameter that a row depends on. Holds no secret.

        Raises:
            EncoderError: The model's files cannot be read.
        """

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> Iterator[FloatArray]:
        """Yields (k, d) blocks of finite float32 rows, in the order of the texts.

        Args:
            texts: Distinct, the shortest first, so that neighbours fill a batch evenly.

        Raises:
            EncoderError: The model or the endpoint failed.
        """

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Returns (n, d) float32; computes only the texts that the cache does not hold.

        Raises:
            EncoderError: The model or the endpoint failed, or the cache is damaged.
        """
        return self.encode_by(self._in_order, texts)

    def encode_by(self, embedding: Embedding, texts: Sequence[str]) -> FloatArray:
        """As `encode`, but what the cache does not hold is computed by another than `embed`.

        Raises:
            EncoderError: As `encode`.
        """
        texts = check_texts(texts)
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        keys = [text_key(text) for text in texts]
        distinct = dict(zip(keys, texts, strict=True))
        store = session_cache() if self.cache else None
        rows = store.get(self.fingerprint(), list(distinct)) if store else {}
        missing = [key for key in distinct if key not in rows]
        missing.sort(key=lambda key: (len(distinct[key]), key))
        rows.update(self._compute(embedding, missing, distinct, store))
        return np.stack([rows[key] for key in keys])

    def _in_order(self, texts: Sequence[str]) -> Iterator[tuple[Sequence[int], FloatArray]]:
        done = 0
        for block in self.embed(texts):
            yield range(done, min(done + len(block), len(texts))), block
            done += len(block)

    def _compute(
        self,
        embedding: Embedding,
        keys: list[bytes],
        texts: dict[bytes, str],
        store: EmbeddingCache | None,
    ) -> dict[bytes, FloatArray]:
        rows: dict[bytes, FloatArray] = {}
        blocks = embedding([texts[key] for key in keys]) if keys else iter(())
        for places, block in blocks:
            part = [keys[place] for place in places]
            self._check(block, len(part), rows)
            if store:
                store.put(self.fingerprint(), part, block)
            rows.update(zip(part, block, strict=True))
        if len(rows) != len(keys):
            msg = f"the {self.name} encoder gave {len(rows)} rows for {len(keys)} texts"
            raise EncoderError(msg)
        return rows

    def _check(self, block: FloatArray, expected: int, before: dict[bytes, FloatArray]) -> None:
        dim = next(iter(before.values())).size if before else block.shape[-1]
        if block.ndim != 2 or block.shape != (expected, dim):
            msg = f"the {self.name} encoder gave rows of shape {block.shape}, not {(expected, dim)}"
            raise EncoderError(msg)
        if not np.isfinite(block).all():
            msg = f"the {self.name} encoder gave a row that holds no finite numbers"
            raise EncoderError(msg)
