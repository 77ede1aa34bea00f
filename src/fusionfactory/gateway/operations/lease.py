"""A duty that one of several gateways does at a time, whichever lives and reaches the store.

A lock of PostgreSQL would stay with a gateway that was cut off until the server notices that its
connection is dead, which may take hours. A lease runs out by the server's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.errors import FusionFactoryError
from fusionfactory.gateway.access.patience import NOW, be_patient
from fusionfactory.store.shared_duties import duty_leases

if TYPE_CHECKING:
    from fusionfactory.gateway.operations.duty import Step
    from fusionfactory.store import Store

__all__ = ["Lease", "alone", "release_all"]


class Lease:
    """The right to a duty, for a time.

    Args:
        store: That the gateways share; PostgreSQL.
        duty: Its name.
        holder: Name of this gateway.
        length_s: Seconds until somebody else may have it; longer than from one renewal to the next.
    """

    def __init__(self, store: Store, duty: str, holder: str, length_s: float) -> None:
        self._store, self._duty, self._holder = store, duty, holder
        self._length_s = length_s

    def take(self) -> bool:
        """Takes or renews it, unless another gateway has it; says whether it is held.

        Raises:
            StoreError: The store cannot be reached, so nobody knows.
        """
        from sqlalchemy.dialects.postgresql import insert

        until = NOW + self._length_s
        values = {"duty": self._duty, "holder": self._holder, "until": until}
        free = (duty_leases.c.holder == self._holder) | (duty_leases.c.until < NOW)
        wish = insert(duty_leases).values(values)
        wish = wish.on_conflict_do_update(
            index_elements=["duty"], set_={"holder": self._holder, "until": until}, where=free
        )
        with self._store.transaction(write=True) as connection:
            be_patient(connection)
            taken = connection.execute(wish.returning(duty_leases.c.duty)).first()
        return taken is not None

    def release(self) -> None:
        """Lets another gateway have it at once, if it is held.

        Raises:
            StoreError: The store cannot be reached; it runs out then.
        """
        mine = (duty_leases.c.duty == self._duty) & (duty_leases.c.holder == self._holder)
        with self._store.transaction(write=True) as connection:
            be_patient(connection)
            connection.execute(duty_leases.delete().where(mine))


def release_all(store: Store, holder: str) -> None:
    """Lets other gateways have every duty of one that ends.

    Raises:
        StoreError: The store cannot be reached; they run out then.
    """
    with store.transaction(write=True) as connection:
        be_patient(connection)
        connection.execute(duty_leases.delete().where(duty_leases.c.holder == holder))


def alone(lease: Lease, step: Step) -> Step:
    """The step, done only while the lease is held; what it raises passes the duty on."""

    def once() -> int:
        if not lease.take():
            return 0
        try:
            return step()
        except FusionFactoryError:
            lease.release()
            raise

    return once
