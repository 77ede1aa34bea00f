"""The outcomes that routers learn from: a table on disk, and a sample of it in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self

import numpy as np

from fusionfactory.encoders import Encoder, make_encoder
from fusionfactory.normal_text import text_digests
from fusionfactory.routers.stream import Stream
from fusionfactory.streamed.features import Features

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fusionfactory.large import LargeTable
    from fusionfactory.routers.stream import Block
    from fusionfactory.table import OutcomeTable

__all__ = ["SAMPLE_QUERIES", "Training"]

SAMPLE_QUERIES = 20_000
"""Queries in memory, by default: for encoders, for centers of clusters, and for all of a method
that does not learn from sums."""

_NUMBERS = ("quality", "cost_usd", "input_tokens", "output_tokens")


@dataclass(frozen=True, eq=False)
class Training:
    """Outcomes to learn from.

    In memory there are the sample, 8 bytes per query, and one block; on disk, in `folder`, the rows
    of every encoder asked for, 4 d bytes per query.

    Attributes:
        table: Everything.
        sample: Some of its queries, drawn at random.
        folder: Where encoded queries are kept.
        block_queries: The most queries of a block.
    """

    table: LargeTable
    sample: OutcomeTable
    folder: Path
    block_queries: int
    _features: dict[str, Features] = field(default_factory=dict)
    _streams: dict[str, Stream] = field(default_factory=dict)

    @classmethod
    def of(cls, table: LargeTable, folder: Path, *, queries: int = SAMPLE_QUERIES) -> Self:
        """Draws the sample.

        Args:
            table: To learn from.
            folder: See above.
            queries: Of the sample.

        Raises:
            TableError: `queries` is not positive.
        """
        return cls(table, table.sample(queries), folder, table.block_queries)

    def judged(self, arms: Sequence[str]) -> Self:
        """The same queries with the judge's scores in the place of quality, on these arms."""
        return replace(
            self,
            table=self.table.select_arms(arms).judged(),
            sample=self.sample.select_arms(arms).judged(),
            _streams={},
        )

    @cached_property
    def fingerprint(self) -> str:
        """Of the outcomes."""
        return self.table.fingerprint()

    @cached_property
    def seen(self) -> NDArray[np.uint64]:
        """(n,) digests of the queries' texts: see `normal_text.text_digests`."""
        return np.concatenate([text_digests(texts) for texts in self._texts()])

    def _texts(self) -> Iterator[list[str]]:
        blocks = self.table.blocks(("query",), block_queries=self.block_queries)
        return (block.texts for block in blocks)

    def features(self, encoder: str | Encoder) -> Features:
        """The queries' rows by an encoder, fitted on the sample where it is to be fitted."""
        key = encoder if isinstance(encoder, str) else str(id(encoder))
        if key not in self._features:
            made = make_encoder(encoder)
            fitted = made if made.is_fitted else made.clone().fit(self.sample.texts)
            folder = self.folder / f"encoder-{len(self._features)}"
            self._features[key] = Features(self._texts, fitted, folder)
        return self._features[key]

    def stream(self, encoder: str | Encoder | None) -> Stream:
        """Everything, encoded; None leaves rows without columns."""
        key = encoder if isinstance(encoder, str) else str(id(encoder))
        if key not in self._streams:
            features = None if encoder is None else self.features(encoder)
            self._streams[key] = Stream(
                blocks=partial(self._blocks, features),
                sums=self.table.sums,
                sample=self.sample,
                encoder=features.encoder if features else None,
                fingerprint=self.fingerprint,
                seen=self.seen,
            )
        return self._streams[key]

    def _blocks(self, features: Features | None) -> Iterator[Block]:
        tables = self.table.blocks(_NUMBERS, block_queries=self.block_queries)
        if features is None:
            return ((table, np.zeros((len(table), 0), dtype=np.float32)) for table in tables)
        return zip(tables, features, strict=True)
