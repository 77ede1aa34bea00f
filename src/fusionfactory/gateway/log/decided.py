"""Decisions of one version of the router, as arrays: what it chose, and what it expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson
import sqlalchemy as sa

from fusionfactory.gateway.log.tally import MINUTE_S
from fusionfactory.store.schema import arms, outcomes, requests, router_arms, tallies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.types import FloatArray, IntArray

__all__ = ["Decided", "read_decided"]

_DECIDED = requests.c.why.in_(("best", "explore")) & requests.c.router_no.is_not(None)


@dataclass(frozen=True, eq=False, slots=True)
class Decided:
    """n decisions in the order in which they were made; those that a conversation made are not in.

    Attributes:
        router: Version of the router.
        arms: m names: every arm that it estimated or chose.
        chosen: (n,) index of the chosen arm.
        expected: (n,) quality expected of it; NaN where unknown.
        level: (n,) quality expected of all arms on average: how hard the question seems.
        reward: (n,) quality of the chosen arm's answer; NaN where nobody scored it.
        at: (n,) Unix seconds.
    """

    router: str
    arms: tuple[str, ...]
    chosen: IntArray
    expected: FloatArray
    level: FloatArray
    reward: FloatArray
    at: FloatArray

    def __len__(self) -> int:
        return len(self.chosen)


def read_decided(
    connection: sa.Connection, limit: int, router: str | None, *, first: bool
) -> Decided | None:
    """The latest or the first decisions of a router.

    Args:
        connection: To the store.
        limit: How many at most.
        router: Its version; None for the one that decided last.
        first: The first ones.

    Returns:
        None where it has not decided.
    """
    version = router if router is not None else _last_router(connection)
    if version is None:
        return None
    lists = {
        int(number): orjson.loads(names)
        for number, names in connection.execute(
            sa.select(router_arms.c.no, router_arms.c.arms)
            .where(router_arms.c.router == version)
            .order_by(router_arms.c.no)
        )
    }
    if not lists:
        return None
    begin = _begin(connection, list(lists)) if first else None
    order = requests.c.at if first else requests.c.at.desc()
    same = (outcomes.c.query_no == requests.c.query_no) & (
        outcomes.c.arm_no == requests.c.chosen_no
    )
    reward = sa.func.coalesce(outcomes.c.performance, outcomes.c.llm_judge)
    select = (
        sa.select(requests.c.at, arms.c.name, requests.c.expected_quality, reward,
                  requests.c.router_no, requests.c.estimates)
        .select_from(
            requests.join(arms, arms.c.no == requests.c.chosen_no)
            .outerjoin(outcomes, same & (outcomes.c.sample == 0))
        )
        .where(_DECIDED, requests.c.router_no.in_(lists))
        .order_by(order)
        .limit(limit)
    )  # fmt: skip
    if begin is not None:
        select = select.where(requests.c.at >= begin)
    rows = list(connection.execute(select))
    if not first:
        rows.reverse()
    names = tuple(
        dict.fromkeys([n for some in lists.values() for n in some] + [row[1] for row in rows])
    )
    index = {name: number for number, name in enumerate(names)}
    at, expected, rewards = (
        np.array([row[i] for row in rows], dtype=np.float64) for i in (0, 2, 3)
    )
    return Decided(
        router=version,
        arms=names,
        chosen=np.array([index[row[1]] for row in rows], dtype=np.int64),
        expected=expected,
        level=np.array([_level(row[5], len(lists[row[4]])) for row in rows], dtype=np.float64),
        reward=rewards,
        at=at,
    )


def _last_router(connection: sa.Connection) -> str | None:
    select = (
        sa.select(router_arms.c.router)
        .join(requests, requests.c.router_no == router_arms.c.no)
        .where(_DECIDED, router_arms.c.router != "")
        .order_by(requests.c.at.desc())
        .limit(1)
    )
    found: str | None = connection.execute(select).scalar()
    return found


def _begin(connection: sa.Connection, numbers: Sequence[int]) -> float | None:
    """When a router began, by the sums per minute: so that no index of requests is needed."""
    least = sa.select(sa.func.min(tallies.c.minute)).where(tallies.c.router_no.in_(numbers))
    minute = connection.execute(least).scalar()
    return None if minute is None else float(minute) * MINUTE_S


def _level(estimates: bytes | None, arms_: int) -> float:
    if estimates is None:
        return np.nan
    quality = np.frombuffer(estimates, dtype="<f4")[:arms_]
    known = quality[~np.isnan(quality)]
    return float(known.mean()) if known.size else np.nan
