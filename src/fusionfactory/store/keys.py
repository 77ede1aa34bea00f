"""Keys of outcomes by name, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from fusionfactory.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.types import Outcome

__all__ = ["NamedKey", "key_text", "reject_twice", "reject_twice_in_frame"]

NamedKey: TypeAlias = tuple[str, str, int]
"""Query id, arm name, sample."""


def key_text(key: NamedKey) -> str:
    """A key for messages."""
    return f"query {key[0]!r}, arm {key[1]!r}, sample {key[2]}"


def reject_twice(items: Iterable[Outcome]) -> None:
    """Checks that no two outcomes have one key.

    Raises:
        StoreError: Two have.
    """
    seen: set[NamedKey] = set()
    for item in items:
        key = (item.query_id, item.arm, item.sample)
        if key in seen:
            msg = f"given twice: {key_text(key)}"
            raise StoreError(msg)
        seen.add(key)


def reject_twice_in_frame(long: pl.DataFrame) -> None:
    """Checks that no two rows with `query_id`, `arm` and perhaps `sample` have one key.

    Raises:
        StoreError: Two have.
    """
    names = [name for name in ("query_id", "arm", "sample") if name in long.columns]
    twice = long.select(pl.struct(names).is_duplicated().alias("twice"))["twice"]
    if twice.any():
        row = long.row(int(twice.arg_max() or 0), named=True)
        msg = f"given twice: {key_text((row['query_id'], row['arm'], row.get('sample', 0)))}"
        raise StoreError(msg)
