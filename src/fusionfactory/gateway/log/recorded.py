"""Records of requests into the tables: queries, requests, outcomes, sums and conversations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from fusionfactory.gateway.log.rows import arms_of, estimated_arms, outcome_rows, request_row
from fusionfactory.gateway.log.tally import add_tallies
from fusionfactory.store import records
from fusionfactory.store.schema import (
    conversations,
    outcomes,
    queries,
    requests,
    router_arms,
)
from fusionfactory.types import Arm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.gateway.log.record import Record

__all__ = ["Numbers", "write_records"]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of rows that are committed: of arms by name, of routers with their arms."""

    arms: dict[str, int]
    routers: dict[tuple[str, str], int]

    def copy(self) -> Numbers:
        """For a transaction that may be rolled back."""
        return Numbers(dict(self.arms), dict(self.routers))


def write_records(connection: sa.Connection, given: list[Record], numbers: Numbers) -> None:
    """Writes records of requests whose ids are not in the store yet.

    Args:
        connection: In a writing transaction, in which nobody else takes records in.
        given: A writer repeats a line that it thinks was torn, so some may be there, or twice here.
        numbers: Known so far; those of new arms and routers are entered.

    Raises:
        InputError: The name of an arm is none.
    """
    by_id = {record.id: record for record in given}
    for there in _there(connection, list(by_id)):
        del by_id[there]
    new = list(by_id.values())
    if not new:
        return
    connection.execute(queries.insert(), [{"id": r.id, "text": r.text} for r in new])
    query_nos = records.numbers(connection, queries, by_id)
    unknown = sorted(set().union(*map(arms_of, new)) - numbers.arms.keys())
    numbers.arms.update(records.add_arms(connection, map(Arm.parse, unknown)))
    routers = [_router_no(connection, estimated_arms(record), numbers.routers) for record in new]
    rows = [
        request_row(record, query_nos[record.id], numbers.arms, router)
        for record, router in zip(new, routers, strict=True)
    ]
    connection.execute(requests.insert(), rows)
    add_tallies(connection, rows)
    called = [r for record in new for r in outcome_rows(record, query_nos[record.id], numbers.arms)]
    if called:
        connection.execute(outcomes.insert(), called)
    spoken = [_conversation_row(r, query_nos) for r in new if r.messages is not None]
    if spoken:
        connection.execute(conversations.insert(), spoken)


def _router_no(
    connection: sa.Connection, key: tuple[str, str] | None, known: dict[tuple[str, str], int]
) -> int | None:
    if key is None:
        return None
    if key not in known:
        same = (router_arms.c.router == key[0]) & (router_arms.c.arms == key[1])
        number = connection.execute(sa.select(router_arms.c.no).where(same)).scalar()
        if number is None:
            row = {"router": key[0], "arms": key[1]}
            insert = router_arms.insert().values(row).returning(router_arms.c.no)
            number = connection.execute(insert).scalar_one()
        known[key] = int(number)
    return known[key]


def _there(connection: sa.Connection, ids: list[str]) -> list[str]:
    """Those of the ids that are in the store: a writer repeats a line that it thinks was torn."""
    select = sa.select(queries.c.id).where(queries.c.id.in_(sa.bindparam("ids", expanding=True)))
    found: list[str] = []
    for start in range(0, len(ids), 500):
        found += connection.execute(select, {"ids": ids[start : start + 500]}).scalars()
    return found


def _conversation_row(record: Record, query_nos: Mapping[str, int]) -> dict[str, Any]:
    messages = orjson.dumps(record.messages).decode()
    return {"query_no": query_nos[record.id], "messages": messages}
