"""The fingerprint of a table: a digest of its content, whatever the order of rows and columns."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory import layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    from numpy.typing import NDArray

    from fusionfactory.types import Arm, FloatArray

__all__ = ["content_digest"]


def content_digest(
    queries: pl.DataFrame,
    arms: Sequence[Arm],
    cells: Mapping[str, FloatArray],
    responses: NDArray[np.object_] | None,
) -> str:
    """SHA-256 of a table's content: see `OutcomeTable.fingerprint`.

    Args:
        queries: n rows.
        arms: m.
        cells: Name to (n, m); NaN where unknown.
        responses: (n, m) texts or None.
    """
    rows = queries["query_id"].arg_sort().to_numpy()
    columns = np.argsort(np.asarray([arm.name for arm in arms]))
    told = [
        (arm.model, arm.strategy, _known(arm.input_price), _known(arm.output_price),
         arm.description)
        for arm in (arms[i] for i in columns)
    ]  # fmt: skip
    digest = hashlib.sha256()
    for text in (queries[rows].write_ndjson(), repr(told)):
        digest.update(text.encode())
    for name, values in cells.items():
        cell = np.asarray(values, dtype=np.float64)[np.ix_(rows, columns)]
        if name == "cost_usd":
            cell = layout.micro_usd(cell)
        # Adding 0 makes -0.0, which equals 0.0, the same bytes.
        unknown = 1.0 if name == "logprob" else -1.0
        digest.update((np.nan_to_num(cell, nan=unknown) + 0.0).tobytes())
    if responses is not None:
        texts = responses[np.ix_(rows, columns)].ravel()
        known = np.array([text is not None for text in texts])
        if known.any():
            told = texts[known]
            digest.update(known.tobytes())
            lengths = np.fromiter((len(text.encode()) for text in told), np.int64, len(told))
            digest.update(lengths.tobytes())
            # Text by text: all of them encoded at once would be a second copy of the table.
            for text in told:
                digest.update(text.encode())
    return digest.hexdigest()


def _known(price: float | None) -> float | None:
    return None if price is None or np.isnan(price) else float(price)
