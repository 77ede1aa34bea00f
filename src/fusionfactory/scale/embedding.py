"""Embedding on a Ray cluster: actors that load the model once, rows into the cache of this machine.

Only encoders whose model any machine can load leave this one: `minilm`, `st`, and those of plugins
on the same base. The others are quick (`hashing`, `static`), have to learn first (`text`), or are
an endpoint, whose key and limits are this machine's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.encoders.cached import CachedEncoder
from fusionfactory.errors import EncoderError
from fusionfactory.scale.pool import mapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from fusionfactory.config import ScaleSection
    from fusionfactory.encoders import Encoder
    from fusionfactory.types import FloatArray

__all__ = ["EmbeddingWorker", "embed"]

_TEXTS_PER_PART = 128
_THREADS = 2


def embed(encoder: Encoder, texts: Sequence[str], settings: ScaleSection) -> FloatArray:
    """The rows that the encoder gives here, computed on the cluster where that helps; in `cluster`.

    What the embedding cache holds is not computed, and rows are put there as they come: a run that
    was interrupted goes on where it stopped.

    Args:
        encoder: Any, fitted if it has to be.
        texts: n of them.
        settings: `[scale]`: how many actors.

    Returns:
        (n, d) float32, as of `Encoder.encode`.

    Raises:
        EncoderError: The model failed, or a node has another one than this machine.
        MissingExtraError: A package is missing here or on a node.
        ClusterError: See `mapped`.
    """
    if isinstance(encoder, CachedEncoder) and encoder.movable:
        return encoder.encode_by(partial(_blocks, encoder, settings), texts)
    return encoder.encode(texts)


def _blocks(
    encoder: CachedEncoder, settings: ScaleSection, texts: Sequence[str]
) -> Iterator[tuple[Sequence[int], FloatArray]]:
    import pyarrow as pa

    # The longest texts first, which take the longest: so no actor is left with them at the end.
    order = range(len(texts))[::-1]
    starts = range(0, len(texts), _TEXTS_PER_PART)
    parts = {
        f"texts {places[-1] + 1:,} to {places[0] + 1:,} of {len(texts):,}": pa.table(
            {"place": places, "text": [texts[place] for place in places]}
        )
        for places in (list(order[start : start + _TEXTS_PER_PART]) for start in starts)
    }
    arguments = {
        "encoder": type(encoder)(**encoder.params() | {"cache": False}),
        "fingerprint": encoder.fingerprint(),
    }
    options: dict[str, Any] = {"doing": "embedding", "threads": _THREADS}
    for block in mapped(parts, EmbeddingWorker, arguments, settings, **options):
        for row in block.to_pylist():
            found = np.frombuffer(row["rows"], dtype=np.float32)
            yield row["places"], found.reshape(len(row["places"]), -1)


class EmbeddingWorker:
    """Embeds the texts of a part; lives in a process of the cluster, and loads the model there.

    Args:
        encoder: Without a cache.
        fingerprint: Of the encoder where the verb runs.
    """

    def __init__(self, encoder: CachedEncoder, fingerprint: str) -> None:
        self._encoder, self._fingerprint = encoder, fingerprint

    def __call__(self, part: pa.Table) -> pa.Table:
        """One row: places of the texts, and their rows as bytes.

        Raises:
            EncoderError: The model failed, or is another one than where the verb runs.
            MissingExtraError: A package is missing.
        """
        import pyarrow as pa

        found = self._encoder.fingerprint()
        if found != self._fingerprint:
            msg = f"a node of the cluster has another model: {found}, expected {self._fingerprint}"
            raise EncoderError(msg)
        order = np.argsort([len(text) for text in part["text"].to_pylist()], kind="stable")
        sorted_part = part.take(order)
        blocks = list(self._encoder.embed(sorted_part["text"].to_pylist()))
        rows = np.concatenate(blocks).astype(np.float32, copy=False)
        return pa.table(
            {
                "places": pa.array([sorted_part["place"].to_pylist()], pa.list_(pa.int64())),
                "rows": pa.array([rows.tobytes()], pa.binary()),
            }
        )
