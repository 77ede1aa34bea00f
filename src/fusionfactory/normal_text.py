"""Texts without what does not tell them apart: what near-duplicates have in common."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["COARSE", "KEEPING_OPERATORS", "normal_text", "normal_texts", "text_digests"]

COARSE = r"[^\p{L}\p{N}]+"
"""Noise: all but letters and digits."""
KEEPING_OPERATORS = r"[^\p{L}\p{N}+\-*/^=<>%]+"
"""Noise: all but letters, digits and operators."""


def normal_text(noise: str) -> pl.Expr:
    """The column `query` in lower case, runs of noise as one space; as it is if nothing is left."""
    text = pl.col("query").str.to_lowercase().str.replace_all(noise, " ").str.strip_chars()
    text = text.str.replace_all(r" ?([+\-*/^=<>%]) ?", "${1}")
    return pl.when(text == "").then(pl.col("query")).otherwise(text)


def normal_texts(texts: Sequence[str]) -> list[str]:
    """The texts as `OutcomeTable.groups` compares them: without case and punctuation."""
    frame = pl.DataFrame({"query": list(texts)}, schema={"query": pl.String})
    return frame.select(normal_text(COARSE).alias("text"))["text"].to_list()


def text_digests(texts: Sequence[str]) -> NDArray[np.uint64]:
    """(n,) 64-bit digests of the texts but for case and punctuation; operators count.

    They find a query again without keeping it.
    """
    frame = pl.DataFrame({"query": list(texts)}, schema={"query": pl.String})
    normal = frame.select(normal_text(KEEPING_OPERATORS).alias("text"))["text"].to_list()
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in normal]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)
