"""Which queries to ask a new arm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from fusionfactory.routers.base import Router
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import IntArray

__all__ = ["Choice", "choose_queries"]

Choice: TypeAlias = Literal["random", "diverse"]


def choose_queries(
    router: Router,
    table: OutcomeTable,
    count: int = 100,
    *,
    choice: Choice = "random",
    seed: int = 0,
) -> IntArray:
    """Rows of the queries to ask a new arm, of which the known arms' outcomes are there already.

    Args:
        router: Fitted; its encoder says which queries are alike.
        table: Queries to choose from.
        count: Queries at most.
        choice: `random`, or `diverse`: far from one another (k-means++, Arthur and Vassilvitskii
            2007). Measured, the one is as good as the other.
        seed: Of the choice.

    Returns:
        (min(count, n),) rising row numbers.

    Raises:
        ConfigError: The count is below 1.
        NotFittedError: The router is not fitted.
    """
    if count < 1:
        msg = f"must be at least 1, got {count}"
        raise ConfigError(msg, field="count")
    rng = np.random.default_rng(seed)
    count = min(count, len(table))
    features = router.encode(table.texts)
    if choice == "random" or not features.shape[1]:
        return np.sort(rng.choice(len(table), count, replace=False))
    size = np.linalg.norm(features, axis=1, keepdims=True)
    features = features / np.where(size > 0, size, 1.0)
    rows = [int(rng.integers(len(table)))]
    distance = np.full(len(table), np.inf)
    while len(rows) < count:
        distance = np.minimum(distance, ((features - features[rows[-1]]) ** 2).sum(axis=1))
        distance[rows] = 0.0
        odds = distance if distance.any() else 1.0 - np.isin(np.arange(len(table)), rows)
        rows.append(int(rng.choice(len(table), p=odds / odds.sum())))
    return np.sort(np.asarray(rows))
