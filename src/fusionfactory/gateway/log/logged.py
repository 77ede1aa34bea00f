"""Decisions of a router with their propensities and rewards, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson
import sqlalchemy as sa

from fusionfactory.gateway.log.redaction import HASHED
from fusionfactory.store.schema import arms, outcomes, queries, requests, router_arms

if TYPE_CHECKING:
    from fusionfactory.types import FloatArray, IntArray

__all__ = ["HAS_TEXT", "Logged", "read_logged"]

_DECIDED = ("best", "explore")
_HASH = queries.c.text.like(f"{HASHED}%") & (sa.func.length(queries.c.text) == len(HASHED) + 64)
HAS_TEXT = (queries.c.text != "") & sa.not_(_HASH)
"""Whether a query's text is kept: see `redaction`."""


@dataclass(frozen=True, eq=False, slots=True)
class Logged:
    """n requests that a router decided, each answered by the arm that it chose.

    Attributes:
        ids: n ids of requests.
        text: n texts of what was asked.
        arms: m names, in the order of `chosen`: every arm that the routers estimated or chose.
        chosen: (n,) index of the arm.
        propensity: (n,) probability with which it was chosen.
        reward: (n,) quality of its answer in [0, 1]: `performance`, or else what a judge said; NaN
            where nobody did.
        cost_usd: (n,) USD of the answer's arm; NaN where unknown.
        at: (n,) Unix seconds, in order.
    """

    ids: list[str]
    text: list[str]
    arms: tuple[str, ...]
    chosen: IntArray
    propensity: FloatArray
    reward: FloatArray
    cost_usd: FloatArray
    at: FloatArray

    def __len__(self) -> int:
        return len(self.ids)


def read_logged(connection: sa.Connection, since: float, router: str | None) -> Logged:
    """The decisions since a time; of one version of the router, or of all.

    Left out are requests that the chosen arm did not answer, and those whose text is not kept.
    """
    same = (outcomes.c.query_no == requests.c.query_no) & (outcomes.c.arm_no == requests.c.arm_no)
    reward = sa.func.coalesce(outcomes.c.performance, outcomes.c.llm_judge)
    columns = (queries.c.id, queries.c.text, arms.c.name, requests.c.propensity, reward,
               outcomes.c.cost_usd, requests.c.at, requests.c.router_no)  # fmt: skip
    select = (
        sa.select(*columns)
        .select_from(
            requests.join(queries, queries.c.no == requests.c.query_no)
            .join(arms, arms.c.no == requests.c.chosen_no)
            .join(router_arms, router_arms.c.no == requests.c.router_no)
            .join(outcomes, same & (outcomes.c.sample == 0))
        )
        .where(
            requests.c.at >= since,
            requests.c.why.in_(_DECIDED),
            requests.c.propensity > 0,
            requests.c.arm_no == requests.c.chosen_no,
            outcomes.c.error.is_(None),
            HAS_TEXT,
        )
        .order_by(requests.c.at, requests.c.query_no)
    )
    if router is not None:
        select = select.where(router_arms.c.router == router)
    rows = connection.execute(select).all()
    numbers = {row[7] for row in rows}
    known = connection.execute(sa.select(router_arms).order_by(router_arms.c.no)).mappings()
    lists = [orjson.loads(row["arms"]) for row in known if row["no"] in numbers]
    names = tuple(dict.fromkeys([n for some in lists for n in some] + [row[2] for row in rows]))
    index = {name: number for number, name in enumerate(names)}
    numbers_of = (np.array([row[i] for row in rows], dtype=np.float64) for i in (3, 4, 5, 6))
    propensity, rewards, cost_usd, at = numbers_of
    return Logged(
        ids=[row[0] for row in rows],
        text=[row[1] for row in rows],
        arms=names,
        chosen=np.array([index[row[2]] for row in rows], dtype=np.int64),
        propensity=propensity,
        reward=rewards,
        cost_usd=cost_usd,
        at=at,
    )
