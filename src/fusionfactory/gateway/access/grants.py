"""Parts of a budget that several gateways share, given out so that all are hardly more than it.

Each gateway lets a request in while its grant has room for what a request costs on average, beside
what it has spent and what its requests under way are to cost. What counts against the budget is the
larger of the two for every gateway: what it was granted, it may spend without asking, and what it
has spent beyond that were requests dearer than the average. A grant is a small part of what is
left, so that all of them shrink as the budget runs out, and nobody holds much of it idle; but where
a request waits, it is enough for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fusionfactory.gateway.access.elsewhere import Grant
from fusionfactory.gateway.access.patience import NOW, be_patient
from fusionfactory.store.shared_access import budget_grants, gateways

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fusionfactory.gateway.access.meter import Spending
    from fusionfactory.store import Store

__all__ = ["SILENT_S", "Grants", "Wish", "granted_usd"]

SILENT_S = 30.0
"""A gateway that has not told of itself for so long may be gone for good: what it was granted
counts as spent, and nobody is made to wait for it."""

_LOCKS = 7_246  # any number: locks of PostgreSQL by this and a key's number are for its budgets
_KEY = ("gateway", "key", "period", "at")
_PARTS = 4
"""All gateways together hold about one of so many parts of what is left."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A gateway's wish to spend more of a budget.

    Attributes:
        key: Number of the key.
        period: `day` or `month`.
        at: Its number.
        budget_usd: Of all gateways together.
        is_urgent: Whether a request waits for it.
    """

    key: int
    period: str
    at: float
    budget_usd: float
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class _Held:
    """What the others count for.

    Attributes:
        usd: Granted or spent.
        spent_usd: Likewise, but what was granted to those who are not silent counts as left.
    """

    usd: float = 0.0
    spent_usd: float = 0.0


def granted_usd(
    budget_usd: float, spent_usd: float, held_usd: float, sharers: int, least_usd: float = 0.0
) -> float:
    """How far the spending of a gateway may rise.

    Args:
        budget_usd: Of all gateways.
        spent_usd: By this one, with what its requests under way are to cost.
        held_usd: What the others were granted or have spent, whichever is more.
        sharers: How many gateways there are.
        least_usd: It may rise by so much at least where anything is left: the last request of a
            budget may cost more than that.
    """
    left_usd = budget_usd - spent_usd - held_usd
    return spent_usd + max(left_usd / (_PARTS * sharers), least_usd) if left_usd > 0 else spent_usd


class Grants:
    """Gives out parts of budgets; one gateway at a time for a key.

    Args:
        store: Of the gateways, in PostgreSQL.
        gateway: Name of this one.
    """

    def __init__(self, store: Store, gateway: str) -> None:
        self._store, self._gateway = store, gateway

    def take(
        self,
        wishes: Sequence[Wish],
        spending: Callable[[Wish], Spending],
        lower: Callable[[Wish, float], None],
    ) -> list[Grant]:
        """Takes more of budgets, or gives some back, as the rule has it.

        Args:
            wishes: At most one for a key and period.
            spending: Says what this gateway has spent by now, and what it has under way.
            lower: Told before anybody else may count on it that this gateway's spending may not
                rise further than so.

        Returns:
            The grants, one for each wish: in force from now on.

        Raises:
            StoreError: The store cannot be reached: what was in force before stays, as far as
                `lower` was not told otherwise.
        """
        if not wishes:
            return []
        with self._store.transaction(write=True) as connection:
            be_patient(connection)
            _lock(connection, sorted({wish.key for wish in wishes}))
            others, sharers = self._others(connection, wishes)
            given = []
            for wish in wishes:
                held = others.get((wish.key, wish.period, int(wish.at)), _Held())
                now = spending(wish)
                least_usd = now.request_usd if wish.is_urgent else 0.0
                usd = granted_usd(wish.budget_usd, now.used_usd, held.usd, sharers, least_usd)
                lower(wish, usd)
                # What was let in meanwhile, by the grant before this one, is known from here on.
                spent = spending(wish).used_usd
                free = wish.budget_usd - spent - held.spent_usd
                given.append((wish, Grant(wish.at, usd, free), spent))
            self._write(connection, given)
        return [grant for _, grant, _ in given]

    def give_back(self, wishes: Sequence[Wish], spending: Callable[[Wish], Spending]) -> None:
        """Leaves to the others what this gateway was granted and has not spent.

        Args:
            wishes: What it may have been granted; nothing may be let in any more by that.
            spending: Says what this gateway has spent.

        Raises:
            StoreError: The store cannot be reached: all of it counts as spent.
        """
        if not wishes:
            return
        spent = [(wish, spending(wish).used_usd) for wish in wishes]
        with self._store.transaction(write=True) as connection:
            be_patient(connection)
            self._write(connection, [(wish, Grant(wish.at, usd, 0.0), usd) for wish, usd in spent])

    def forget(self, before: Mapping[str, float]) -> None:
        """Deletes this gateway's grants of days and months that are over.

        Args:
            before: Number of the first day and month that stays, by `day` and `month`.

        Raises:
            StoreError: The store cannot be reached.
        """
        old = [
            (budget_grants.c.period == period) & (budget_grants.c.at < at)
            for period, at in before.items()
        ]
        mine = budget_grants.c.gateway == self._gateway
        with self._store.transaction(write=True) as connection:
            be_patient(connection)
            connection.execute(budget_grants.delete().where(mine & sa.or_(*old)))

    def _others(
        self, connection: sa.Connection, wishes: Sequence[Wish]
    ) -> tuple[dict[tuple[int, str, int], _Held], int]:
        """What the others hold, by key, period and its number; and how many gateways there are."""
        silent = sa.func.coalesce(gateways.c.seen, 0.0) < NOW - SILENT_S
        held = sa.func.greatest(budget_grants.c.usd, budget_grants.c.spent_usd)
        spent = sa.case((silent, held), else_=budget_grants.c.spent_usd)
        by = budget_grants.c.key, budget_grants.c.period, budget_grants.c.at
        select = (
            sa.select(*by, sa.func.sum(held).label("held"), sa.func.sum(spent).label("spent"))
            .outerjoin(gateways, gateways.c.id == budget_grants.c.gateway)
            .where(
                budget_grants.c.key.in_({wish.key for wish in wishes}),
                budget_grants.c.gateway != self._gateway,
            )
            .group_by(*by)
        )
        found = {
            (row.key, row.period, row.at): _Held(row.held, row.spent)
            for row in connection.execute(select)
        }
        there = sa.select(sa.func.count()).select_from(gateways).where(~silent)
        return found, max(1, connection.execute(there).scalar_one())

    def _write(self, connection: sa.Connection, given: Sequence[tuple[Wish, Grant, float]]) -> None:
        from sqlalchemy.dialects.postgresql import insert

        rows = [
            {
                "gateway": self._gateway,
                "key": wish.key,
                "period": wish.period,
                "at": int(wish.at),
                "usd": grant.usd,
                "spent_usd": spent,
            }
            for wish, grant, spent in given
        ]
        put = insert(budget_grants)
        changed = {name: put.excluded[name] for name in ("usd", "spent_usd")}
        connection.execute(
            put.on_conflict_do_update(index_elements=[*_KEY], set_=changed),
            rows,
        )


def _lock(connection: sa.Connection, numbers: Sequence[int]) -> None:
    """Waits until no other gateway takes from the budgets of these keys; for the transaction."""
    wanted = sa.func.unnest(sa.cast(list(numbers), sa.ARRAY(sa.Integer))).column_valued("number")
    # In one order for everybody, or two would wait for each other.
    keys = sa.select(wanted).order_by(wanted).subquery()
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCKS, keys.c[0])))
