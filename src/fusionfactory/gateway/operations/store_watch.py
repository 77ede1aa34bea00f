"""When the store was reached last, told by the ingester to the workers, which do not ask it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.store import Store

__all__ = ["LATE_S", "StoreWatch", "store_seen"]

LATE_S = 10.0
"""A store that was not reached for so many seconds is called away."""


class StoreWatch:
    """Asks the store for nothing, again and again.

    Args:
        store: Of the gateway.
        state: The state folder.
    """

    def __init__(self, store: Store, state: Path) -> None:
        self._store, self._file = store, _file(state)

    def step(self) -> int:
        """Asks once; 0, for there is nothing to go on with at once.

        Raises:
            StoreError: The store cannot be reached.
        """
        with self._store.transaction() as connection:
            connection.execute(sa.select(sa.literal(1)))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.touch()
        return 0


def store_seen(state: Path) -> float | None:
    """Unix seconds at which the store was reached last; None where nobody has looked yet."""
    try:
        return min(_file(state).stat().st_mtime, time.time())
    except FileNotFoundError:
        return None


def _file(state: Path) -> Path:
    return state / "store-seen"
