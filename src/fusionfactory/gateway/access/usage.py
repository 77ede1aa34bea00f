"""What keys use at each of several gateways, told to the others by the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from fusionfactory.gateway.access.elsewhere import ROWS
from fusionfactory.gateway.access.meter import Meter
from fusionfactory.gateway.access.patience import NOW, be_patient
from fusionfactory.store.shared_access import key_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fusionfactory.store import Store
    from fusionfactory.types import FloatArray

__all__ = ["SharedUsage", "all_meters"]

_LATE_S = 10.0
"""For so long at most after its time a change is not to be seen yet: its transaction goes on."""

_COUNTERS = tuple(key_usage.columns.keys())[2:-1]
"""As the rows of a `Meter`."""


class SharedUsage:
    """Tells the other gateways what keys used here, and hears what they used there.

    Args:
        store: Of the gateways, in PostgreSQL.
        gateway: Name of this one.
    """

    def __init__(self, store: Store, gateway: str) -> None:
        self._store, self._gateway = store, gateway
        self._told: dict[int, FloatArray] = {}
        self._heard: dict[int, dict[str, FloatArray]] = {}
        self._until = 0.0

    def tell(self, mine: Mapping[int, FloatArray]) -> list[int]:
        """Writes counters that have changed since they were told.

        Args:
            mine: Number of the key to its counters, (13,), workers added up.

        Returns:
            Numbers of the keys whose counters had changed.

        Raises:
            StoreError: The store cannot be reached; they are told the next time.
        """
        changed = {
            number: counters
            for number, counters in mine.items()
            if not np.array_equal(self._told.get(number, np.zeros(ROWS)), counters)
        }
        if changed:
            self._write(changed)
            self._told.update(changed)
        return list(changed)

    def hear(self) -> dict[int, FloatArray]:
        """Counters of the other gateways, of keys for which they have changed since.

        Returns:
            Number of the key to (13, gateways), a column per other gateway that has ever used it.

        Raises:
            StoreError: The store cannot be reached.
        """
        select = sa.select(key_usage).where(
            key_usage.c.gateway != self._gateway, key_usage.c.changed > self._until - _LATE_S
        )
        with self._store.transaction() as connection:
            be_patient(connection)
            rows = connection.execute(select).all()
        touched: set[int] = set()
        for row in rows:
            counters = np.array(row[2 : 2 + ROWS])
            by_gateway = self._heard.setdefault(row.key, {})
            before = by_gateway.get(row.gateway)
            if before is None or not np.array_equal(before, counters):
                by_gateway[row.gateway] = counters
                touched.add(row.key)
            self._until = max(self._until, row.changed)
        return {number: np.stack([*self._heard[number].values()], axis=1) for number in touched}

    def _write(self, changed: Mapping[int, FloatArray]) -> None:
        from sqlalchemy.dialects.postgresql import insert

        rows = [
            {"gateway": self._gateway, "key": number}
            | dict(zip(_COUNTERS, counters.tolist(), strict=True))
            for number, counters in sorted(changed.items())
        ]
        put = insert(key_usage).values(changed=NOW)
        values = {name: put.excluded[name] for name in (*_COUNTERS, "changed")}
        with self._store.transaction(write=True) as connection:
            be_patient(connection)
            connection.execute(
                put.on_conflict_do_update(index_elements=["gateway", "key"], set_=values), rows
            )


def all_meters(store: Store) -> Callable[[int], Meter]:
    """What every key used at all gateways together.

    Returns:
        The counters of the key of a number.

    Raises:
        StoreError: The store cannot be reached.
    """
    with store.transaction() as connection:
        rows = connection.execute(sa.select(key_usage).order_by(key_usage.c.gateway)).all()
    found: dict[int, list[FloatArray]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(np.array(row[2 : 2 + ROWS]))
    return lambda number: Meter(np.stack(found.get(number, [np.zeros(ROWS)]), axis=1))
