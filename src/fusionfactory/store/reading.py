"""Pages of queries and outcomes out of the tables, and the keys of outcomes."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fusionfactory.store import records
from fusionfactory.store.schema import KEY, arms, outcomes, queries, scores
from fusionfactory.store.streaming import stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.store.keys import NamedKey
    from fusionfactory.store.records import OutcomeKey
    from fusionfactory.types import Outcome, Query

__all__ = ["count_failures", "first_there", "outcome_page", "query_page", "read_keys"]

_PAGE = 5_000
_SOME = 500
_JOINED = outcomes.join(queries, outcomes.c.query_no == queries.c.no).join(
    arms, outcomes.c.arm_no == arms.c.no
)
_NAMED_KEY = (queries.c.id, arms.c.name, outcomes.c.sample)


def query_page(connection: sa.Connection, after: int) -> tuple[list[Query], int]:
    """The next queries after a number, and the number of the last; none at the end."""
    page = sa.select(queries).where(queries.c.no > after).order_by(queries.c.no).limit(_PAGE)
    rows = connection.execute(page).mappings().all()
    return [records.query_of(row) for row in rows], rows[-1]["no"] if rows else after


def outcome_page(connection: sa.Connection, after: OutcomeKey) -> tuple[list[Outcome], OutcomeKey]:
    """The next outcomes after a key with their scores, and the last key; none at the end."""
    columns = [outcomes.c[name] for name in KEY]
    page = (
        sa.select(queries.c.id, arms.c.name, *outcomes.columns)
        .select_from(_JOINED)
        .where(sa.tuple_(*columns) > after)
        .order_by(*columns)
        .limit(_PAGE)
    )
    rows = connection.execute(page).mappings().all()
    if not rows:
        return [], after
    last = _key(rows[-1])
    key = sa.tuple_(*(scores.c[name] for name in KEY))
    stored = sa.select(scores).where(key > after, key <= last)
    by_key: dict[OutcomeKey, list[sa.RowMapping]] = {}
    for row in connection.execute(stored).mappings():
        by_key.setdefault(_key(row), []).append(row)
    return [records.outcome_of(row, by_key.get(_key(row), ())) for row in rows], last


def read_keys(connection: sa.Connection, *, failed: bool) -> set[NamedKey]:
    """(query id, arm name, sample) of every outcome, or of those that did not fail."""
    some = sa.true() if failed else outcomes.c.error.is_(None)
    select = sa.select(*_NAMED_KEY).select_from(_JOINED).where(some)
    return {(id_, arm, n) for page in stream(connection, select, _PAGE) for id_, arm, n in page}


def first_there(connection: sa.Connection, keys: Iterable[NamedKey]) -> NamedKey | None:
    """The first of the keys that an outcome has."""
    left = iter(keys)
    while page := list(islice(left, _SOME)):
        ids = {key[0] for key in page}
        select = sa.select(*_NAMED_KEY).select_from(_JOINED).where(queries.c.id.in_(ids))
        there = {(row[0], row[1], row[2]) for row in connection.execute(select)}
        for key in page:
            if key in there:
                return key
    return None


def count_failures(connection: sa.Connection) -> dict[str, int]:
    """Name of each arm with failed outcomes to their number."""
    select = (
        sa.select(arms.c.name, sa.func.count())
        .select_from(_JOINED)
        .where(outcomes.c.error.is_not(None))
        .group_by(arms.c.name)
    )
    return {row[0]: row[1] for row in connection.execute(select)}


def _key(row: sa.RowMapping) -> OutcomeKey:
    return row["query_no"], row["arm_no"], row["sample"]
