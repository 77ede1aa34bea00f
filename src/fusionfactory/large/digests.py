"""Digests of texts, and draws from them that are the same wherever the text stands."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fusionfactory.layout import THINK_SUFFIXES
from fusionfactory.normal_text import COARSE, normal_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fusionfactory.types import FloatArray

__all__ = ["digests", "draws", "group_digests"]

_GOLDEN = 0x9E3779B97F4A7C15
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_WORD = 2**64


def digests(texts: Iterable[str]) -> NDArray[np.uint64]:
    """(n,) 64-bit digests, the same on every machine and with every version of the packages."""
    made = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(made, dtype="<u8").astype(np.uint64)


def group_digests(queries: pl.Series) -> pl.Series:
    """(n,) digests that near-duplicates share: texts equal but for case and punctuation.

    These are the groups of `OutcomeTable.groups`, but that the suffix of think rows does not count:
    a think row has its direct row's digest whatever else the table holds.
    """
    plain = pl.col("query").str.replace(THINK_SUFFIXES, "")
    texts = pl.DataFrame({"raw": queries.unique()}).with_columns(query="raw")
    texts = texts.with_columns(query=plain).with_columns(normal_text(COARSE).alias("query"))
    found = pl.DataFrame(
        {"raw": texts["raw"], "group": digests(texts["query"].to_list())},
        schema_overrides={"group": pl.UInt64},
    )
    joined = queries.to_frame("raw").join(found, on="raw", how="left", maintain_order="left")
    return joined["group"]


def draws(keys: NDArray[np.uint64], seed: int) -> FloatArray:
    """(n,) numbers in [0, 1) that follow from key and seed alone (the finaliser of SplitMix64)."""
    mixed = keys + np.uint64((seed + 1) * _GOLDEN % _WORD)
    for shift, factor in zip((30, 27), _MIX, strict=True):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)) * 2.0**-53
