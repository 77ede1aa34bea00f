"""Which gateways of a store there are, and when each told of itself last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fusionfactory.errors import StoreError
from fusionfactory.gateway.access.patience import NOW, be_patient
from fusionfactory.store.shared_access import gateways

if TYPE_CHECKING:
    from fusionfactory.store import Store

__all__ = ["Presence", "Seen", "all_seen"]

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A gateway.

    Attributes:
        id: Its name.
        address: Where it listens.
        started: Unix seconds of the database.
        silent_s: Seconds since it told of itself last.
    """

    id: str
    address: str
    started: float
    silent_s: float


class Presence:
    """Tells that a gateway is there.

    Args:
        store: Of the gateways, in PostgreSQL.
        gateway: Name of this one.
        address: Where it listens.
    """

    def __init__(self, store: Store, gateway: str, address: str) -> None:
        self._store, self._gateway, self._address = store, gateway, address
        self._started: float | None = None

    def tell(self) -> int:
        """Tells it once.

        Returns:
            How many gateways there were today, in UTC.

        Raises:
            StoreError: The store cannot be reached, or another process has the same name.
        """
        from sqlalchemy.dialects.postgresql import insert

        with self._store.transaction(write=True) as connection:
            be_patient(connection)
            begun = NOW if self._started is None else self._started
            told = insert(gateways).values(
                id=self._gateway, address=self._address, started=begun, seen=NOW
            )
            # Not only an update: a database that was restored may not know of it, or of an older
            # start.
            told = told.on_conflict_do_update(
                index_elements=["id"],
                set_={name: told.excluded[name] for name in ("address", "started", "seen")},
                where=None if self._started is None else gateways.c.started <= self._started,
            )
            started = connection.execute(told.returning(gateways.c.started)).scalar()
            if started is None:
                msg = (
                    f"another gateway calls itself {self._gateway!r}, too, and started later: "
                    "one of the two state folders is a copy; stop that gateway, delete "
                    "`gateway-id` and `shared` in its folder, for what keys used is counted there "
                    "a second time, and start it again"
                )
                raise StoreError(msg)
            today = gateways.c.seen >= sa.func.floor(NOW / _DAY_S) * _DAY_S
            count = sa.select(sa.func.count()).select_from(gateways).where(today)
            there = connection.execute(count).scalar_one()
        # Once it is certain that it was written.
        self._started = started
        return max(1, there)

    def leave(self) -> None:
        """Tells that it is there no longer.

        Raises:
            StoreError: The store cannot be reached: the others notice by its silence.
        """
        mine = (gateways.c.id == self._gateway) & (gateways.c.started == self._started)
        with self._store.transaction(write=True) as connection:
            be_patient(connection)
            connection.execute(gateways.update().where(mine).values(seen=0.0))


def all_seen(store: Store) -> list[Seen]:
    """The gateways of a store, those that told of themselves last first.

    Raises:
        StoreError: The store cannot be reached.
    """
    silent = (NOW - gateways.c.seen).label("silent_s")
    columns = gateways.c.id, gateways.c.address, gateways.c.started, silent
    with store.transaction() as connection:
        rows = connection.execute(sa.select(*columns).order_by(silent, gateways.c.id)).all()
    return [Seen(row.id, row.address, row.started, max(0.0, row.silent_s)) for row in rows]
