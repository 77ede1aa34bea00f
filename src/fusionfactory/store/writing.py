"""Outcomes and scores into the tables: a few statements for many, in the order of their keys.

Whoever writes takes its rows in that order, so that two writers of PostgreSQL wait for each other
and not in a circle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fusionfactory.errors import StoreError
from fusionfactory.store import records
from fusionfactory.store.keys import NamedKey, key_text
from fusionfactory.store.schema import KEY, arms, outcomes, queries, scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fusionfactory.store.records import OutcomeKey
    from fusionfactory.types import Outcome, Score

__all__ = ["write_outcomes", "write_scores"]

_PAGE = 500
_IN_FORCE = ("performance", "llm_judge")
_SCORE_KEY = (*KEY, "name", "scorer", "version")


def write_outcomes(connection: sa.Connection, items: Sequence[Outcome], *, replace: bool) -> None:
    """Writes outcomes with their scores.

    Args:
        connection: In a writing transaction.
        items: Not two of one key.
        replace: Replace those that are there and their scores, or else fail.

    Raises:
        StoreError: A query or an arm is unknown, or a number is infinite.
    """
    query_nos = records.numbers(connection, queries, (o.query_id for o in items))
    arm_nos = records.numbers(connection, arms, (o.arm for o in items))
    by_key = {(query_nos[o.query_id], arm_nos[o.arm], o.sample): o for o in items}
    keys = sorted(by_key)
    rows = [records.outcome_row(by_key[key], key[0], key[1]) for key in keys]
    if replace:
        insert = records.inserted(connection, outcomes)
        change = {c.name: insert.excluded[c.name] for c in outcomes.columns if c.name not in KEY}
        connection.execute(insert.on_conflict_do_update(index_elements=KEY, set_=change), rows)
        # Only now, with the outcomes locked, is every score of them to be seen.
        for page in _pages(keys):
            connection.execute(scores.delete().where(_key(scores).in_(page)))
    else:
        connection.execute(outcomes.insert(), rows)
    _put_scores(connection, {key: by_key[key].scores for key in keys})


def write_scores(connection: sa.Connection, given: Mapping[NamedKey, Sequence[Score]]) -> None:
    """Adds scores to outcomes, or replaces those of the same name, scorer and version.

    Args:
        connection: In a writing transaction.
        given: (query id, arm name, sample) to the scores of that outcome.

    Raises:
        StoreError: There is no such outcome, or it failed.
    """
    query_nos = records.numbers(connection, queries, (named[0] for named in given))
    arm_nos = records.numbers(connection, arms, (named[1] for named in given))
    keys = {named: (query_nos[named[0]], arm_nos[named[1]], named[2]) for named in given}
    errors = _locked(connection, sorted(keys.values()))
    for named, key in keys.items():
        if errors.get(key, "") is not None:
            what = "a failed call has no scores:" if key in errors else "there is no outcome"
            msg = f"{what} {key_text(named)}"
            raise StoreError(msg)
    by_key = {keys[named]: mine for named, mine in given.items()}
    _put_in_force(connection, by_key)
    _put_scores(connection, by_key)


def _locked(connection: sa.Connection, keys: list[OutcomeKey]) -> dict[OutcomeKey, str | None]:
    """What the outcomes say of an error; nobody else changes them until this transaction ends."""
    found: dict[OutcomeKey, str | None] = {}
    columns = [outcomes.c[name] for name in KEY]
    select = sa.select(*columns, outcomes.c.error).order_by(*columns).with_for_update()
    for page in _pages(keys):
        rows = connection.execute(select.where(_key(outcomes).in_(page)))
        found |= {(row[0], row[1], row[2]): row[3] for row in rows}
    return found


def _put_in_force(connection: sa.Connection, by_key: Mapping[OutcomeKey, Sequence[Score]]) -> None:
    mine = sa.and_(*(outcomes.c[name] == sa.bindparam(f"_{name}") for name in KEY))
    for name in _IN_FORCE:
        rows: list[dict[str, Any]] = []
        for key, given in sorted(by_key.items(), key=lambda item: item[0]):
            values = [score.value for score in given if score.name == name]
            if values:
                rows.append({**_bound(key), "value": values[-1]})
        if rows:
            change = outcomes.update().where(mine).values({name: sa.bindparam("value")})
            connection.execute(change, rows)


def _put_scores(connection: sa.Connection, by_key: Mapping[OutcomeKey, Sequence[Score]]) -> None:
    given = (row for key, mine in by_key.items() for row in records.score_rows(mine, key))
    rows = {tuple(row[name] for name in _SCORE_KEY): row for row in given}
    if not rows:
        return
    insert = records.inserted(connection, scores)
    change = {name: insert.excluded[name] for name in ("value", "reason")}
    put = insert.on_conflict_do_update(index_elements=_SCORE_KEY, set_=change)
    connection.execute(put, [rows[key] for key in sorted(rows)])


def _key(table: sa.Table) -> sa.Tuple:
    return sa.tuple_(*(table.c[name] for name in KEY))


def _bound(key: OutcomeKey) -> dict[str, int]:
    return {f"_{name}": value for name, value in zip(KEY, key, strict=True)}


def _pages(keys: Sequence[OutcomeKey]) -> Iterator[Iterable[OutcomeKey]]:
    for start in range(0, len(keys), _PAGE):
        yield keys[start : start + _PAGE]
