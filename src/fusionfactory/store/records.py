"""Queries, arms and outcomes as rows of the store's tables, and back."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from fusionfactory.errors import StoreError
from fusionfactory.store.schema import arms, queries
from fusionfactory.types import Arm, Outcome, Query, Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "OutcomeKey",
    "add_arms",
    "add_queries",
    "arm_of",
    "inserted",
    "numbers",
    "outcome_of",
    "outcome_row",
    "query_of",
    "score_rows",
]

OutcomeKey: TypeAlias = tuple[int, int, int]
"""Number of the query, number of the arm, sample."""

_IN_FORCE = ("performance", "llm_judge")
_PAGE = 500
_QUERY_COLUMNS = tuple(column.name for column in queries.columns if column.name != "no")


def _pages(items: Iterable[str]) -> Iterator[list[str]]:
    ordered = list(dict.fromkeys(items))
    for start in range(0, len(ordered), _PAGE):
        yield ordered[start : start + _PAGE]


def numbers(connection: sa.Connection, table: sa.Table, names: Iterable[str]) -> dict[str, int]:
    """Number of each query id or arm name.

    Raises:
        StoreError: One is not in the store.
    """
    column = table.c.id if table is queries else table.c.name
    found: dict[str, int] = {}
    for page in _pages(names):
        rows = connection.execute(sa.select(column, table.c.no).where(column.in_(page)))
        found.update({str(name): int(no) for name, no in rows})
        for name in page:
            if name not in found:
                kind = "query" if table is queries else "arm"
                method = "add_queries" if table is queries else "add_arms"
                msg = f"unknown {kind} {name!r}: add it with {method}() first"
                raise StoreError(msg)
    return found


def add_queries(connection: sa.Connection, items: Iterable[Query]) -> dict[str, int]:
    """Adds queries; of those already there, known attributes are replaced.

    Returns:
        The number of each by its id.

    Raises:
        StoreError: An id is there with another text.
    """
    given = {query.id: query for query in items}
    found: dict[str, int] = {}
    for page in _pages(given):
        there = _there(connection, queries.c.id, page)
        new = [name for name in page if name not in there]
        if new:
            rows = [_query_row(given[name]) for name in new]
            insert = inserted(connection, queries).on_conflict_do_nothing(index_elements=["id"])
            connection.execute(insert, rows)
            there |= _there(connection, queries.c.id, new)  # some perhaps by another writer
        for name in page:
            _update_query(connection, there[name], given[name])
            found[name] = there[name]["no"]
    return found


def _there(
    connection: sa.Connection, key: sa.Column[str], page: Sequence[str]
) -> dict[str, sa.RowMapping]:
    rows = connection.execute(sa.select(key.table).where(key.in_(page))).mappings()
    return {row[key.name]: row for row in rows}


def _update_query(connection: sa.Connection, row: sa.RowMapping, query: Query) -> None:
    if row["text"] != query.text:
        msg = f"query {query.id!r} is in the store with another text"
        raise StoreError(msg)
    known = {k: v for k, v in _query_row(query).items() if v is not None}
    if any(row[k] != v for k, v in known.items()):
        connection.execute(queries.update().where(queries.c.no == row["no"]).values(known))


def _query_row(query: Query) -> dict[str, Any]:
    return {name: getattr(query, name) for name in _QUERY_COLUMNS}


def add_arms(connection: sa.Connection, items: Iterable[Arm]) -> dict[str, int]:
    """Adds arms; of those already there, prices and description are replaced where given.

    Returns:
        The number of each by its name.
    """
    found: dict[str, int] = {}
    for arm in items:
        extra = {
            "input_price": arm.input_price,
            "output_price": arm.output_price,
            "description": arm.description,
        }
        known = {name: value for name, value in extra.items() if value is not None}
        there = _there(connection, arms.c.name, [arm.name])
        if not there:
            row = {"name": arm.name, "model": arm.model, "strategy": arm.strategy, **known}
            insert = inserted(connection, arms).on_conflict_do_nothing(index_elements=["name"])
            connection.execute(insert.values(row))
            there = _there(connection, arms.c.name, [arm.name])
        mine = there[arm.name]
        if any(mine[name] != value for name, value in known.items()):
            connection.execute(arms.update().where(arms.c.no == mine["no"]).values(known))
        found[arm.name] = mine["no"]
    return found


def inserted(connection: sa.Connection, table: sa.Table) -> Any:  # noqa: ANN401
    """An insert that can say what becomes of rows that are there; one per dialect."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def outcome_row(outcome: Outcome, query_no: int, arm_no: int) -> dict[str, Any]:
    """The row of `outcomes`; a NaN is NULL."""
    values: dict[str, Any] = {
        "query_no": query_no,
        "arm_no": arm_no,
        "sample": outcome.sample,
        "performance": None,
        "llm_judge": None,
        "cost_usd": outcome.cost_usd,
        "input_tokens": outcome.input_tokens,
        "output_tokens": outcome.output_tokens,
        "latency_s": outcome.latency_s,
        "response": outcome.response,
        "error": outcome.error,
        "created": outcome.created and outcome.created.isoformat(),
        "propensity": outcome.propensity,
        "finish_reason": outcome.finish_reason,
        "logprob": outcome.logprob,
    }
    values.update({s.name: s.value for s in outcome.scores if s.name in _IN_FORCE})
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            if math.isinf(value):
                msg = f"{name} of query {outcome.query_id!r}, arm {outcome.arm!r} is {value}"
                raise StoreError(msg)
            values[name] = None
    return values


def score_rows(items: Sequence[Score], key: OutcomeKey) -> list[dict[str, Any]]:
    """The rows of `scores`, for those that `outcomes` does not say in full."""
    query_no, arm_no, sample = key
    return [
        {
            "query_no": query_no,
            "arm_no": arm_no,
            "sample": sample,
            "name": score.name,
            "scorer": score.scorer or "",
            "version": score.version or "",
            "value": score.value,
            "reason": score.reason,
        }
        for score in items
        if score.name not in _IN_FORCE or score.scorer or score.version or score.reason
    ]


def query_of(row: sa.RowMapping) -> Query:
    """The query of a row of `queries`."""
    return Query(**{name: row[name] for name in _QUERY_COLUMNS})


def arm_of(row: sa.RowMapping) -> Arm:
    """The arm of a row of `arms`."""
    extra = (row["input_price"], row["output_price"], row["description"])
    return Arm(row["model"], row["strategy"], *extra)


def outcome_of(row: sa.RowMapping, stored: Sequence[sa.RowMapping]) -> Outcome:
    """The outcome of a row of `outcomes` with its query's id, its arm's name and its scores."""
    full = [
        Score(s["name"], s["value"], s["scorer"] or None, s["version"] or None, s["reason"])
        for s in stored
    ]
    # The one in force comes last of its name, so that writing the outcome again keeps it in force.
    full.sort(key=lambda score: score.value == row.get(score.name))
    said = {score.name for score in full if score.value == row.get(score.name)}
    bare = [Score(n, row[n]) for n in _IN_FORCE if row[n] is not None and n not in said]
    return Outcome(
        query_id=row["id"],
        arm=row["name"],
        sample=row["sample"],
        response=row["response"],
        input_tokens=_count(row["input_tokens"]),
        output_tokens=_count(row["output_tokens"]),
        cost_usd=row["cost_usd"],
        latency_s=row["latency_s"],
        error=row["error"],
        scores=(*full, *bare),
        created=row["created"] and datetime.fromisoformat(row["created"]),
        propensity=row["propensity"],
        finish_reason=row["finish_reason"],
        logprob=row["logprob"],
    )


def _count(tokens: float | None) -> int | None:
    return None if tokens is None else round(tokens)
