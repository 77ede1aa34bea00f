"""The store: what was asked, what can answer and what came out, kept durably and appended to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import polars as pl
import sqlalchemy as sa

from fusionfactory.errors import StoreError
from fusionfactory.store import bulk, records
from fusionfactory.store.connection import Database
from fusionfactory.store.keys import NamedKey, key_text, reject_twice, reject_twice_in_frame
from fusionfactory.store.schema import KEY, arms, outcomes, queries, scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fusionfactory.store.records import OutcomeKey
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, Outcome, Query, Score

__all__ = ["Store"]

_PAGE = 5_000
_OUTCOME_COLUMNS = [queries.c.id, arms.c.name, *outcomes.columns]
_JOINED = outcomes.join(queries, outcomes.c.query_no == queries.c.no).join(
    arms, outcomes.c.arm_no == arms.c.no
)


class Store:
    """Queries, arms and outcomes in SQLite (a file) or PostgreSQL (a URL).

    The key of an outcome is (query, arm, sample). What a method has written is committed when it
    returns, and a method writes all or nothing. Several threads and processes can use one store:
    readers never wait, writers wait for each other.

    Args:
        url_or_path: `runs.db`, `sqlite:///runs.db` or `postgresql://user@host/database`. A missing
            file or an empty database becomes a store; an older store is migrated.

    Raises:
        StoreError: The database cannot be opened, is newer than this program or is no store.
        MissingExtraError: PostgreSQL without the extra `postgres`.
    """

    def __init__(self, url_or_path: str | Path) -> None:
        self._database = Database(url_or_path)

    def __repr__(self) -> str:
        return f"Store({self._database.name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes every connection; the store cannot be used any more."""
        self._database.close()

    def transaction(self, *, write: bool = False) -> AbstractContextManager[sa.Connection]:
        """One transaction on the tables of `store.schema`, for what has tables of its own there.

        Args:
            write: Take the write lock of SQLite at the beginning, and wait for it.

        Raises:
            StoreError: The database refuses. `sqlalchemy.exc.IntegrityError` passes.
        """
        return self._database.transaction(write=write)

    @property
    def is_sqlite(self) -> bool:
        """SQLite, or else PostgreSQL."""
        return self._database.is_sqlite

    # Writing

    def add_queries(self, items: Iterable[Query]) -> None:
        """Adds queries; of those already there, known attributes are replaced.

        Raises:
            StoreError: An id is there with another text.
        """
        with self._database.transaction(write=True) as connection:
            records.add_queries(connection, items)

    def add_arms(self, items: Iterable[Arm]) -> None:
        """Adds arms; of those already there, prices and description are replaced where given."""
        with self._database.transaction(write=True) as connection:
            records.add_arms(connection, items)

    def append(self, items: Iterable[Outcome]) -> int:
        """Adds outcomes.

        Returns:
            How many.

        Raises:
            StoreError: A key is there already or twice here, a query or an arm is unknown, or a
                cost is negative or infinite.
        """
        return self._write(list(items), replace=False)

    def upsert(self, items: Iterable[Outcome]) -> int:
        """Adds outcomes, or replaces those of the same key with their scores.

        Returns:
            How many.

        Raises:
            StoreError: As `append`, but for keys that are there.
        """
        return self._write(list(items), replace=True)

    def _write(self, items: list[Outcome], *, replace: bool) -> int:
        if not items:
            return 0
        reject_twice(items)
        try:
            with self._database.transaction(write=True) as connection:
                query_nos = records.numbers(connection, queries, (o.query_id for o in items))
                arm_nos = records.numbers(connection, arms, (o.arm for o in items))
                keys = [(query_nos[o.query_id], arm_nos[o.arm], o.sample) for o in items]
                if replace:
                    _delete(connection, keys)
                rows = [
                    records.outcome_row(o, key[0], key[1])
                    for o, key in zip(items, keys, strict=True)
                ]
                connection.execute(outcomes.insert(), rows)
                stored = [
                    row
                    for o, key in zip(items, keys, strict=True)
                    for row in records.score_rows(o.scores, key)
                ]
                if stored:
                    connection.execute(scores.insert(), stored)
        except sa.exc.IntegrityError as error:
            there = self._first_there((o.query_id, o.arm, o.sample) for o in items)
            raise self._conflict(there, error) from None
        return len(items)

    def put_scores(
        self, query_id: str, arm: str, items: Iterable[Score], *, sample: int = 0
    ) -> None:
        """Adds scores to an outcome, or replaces those of the same name, scorer and version.

        `performance` and `llm_judge` are in force from then on: tables read the last written.

        Raises:
            StoreError: There is no such outcome, or it failed.
        """
        self.write_scores([((query_id, arm, sample), list(items))])

    def write_scores(self, items: Iterable[tuple[NamedKey, Sequence[Score]]]) -> int:
        """As `put_scores`, for many outcomes in one transaction.

        Args:
            items: (query id, arm name, sample) with the scores of that outcome.

        Returns:
            The number of outcomes.

        Raises:
            StoreError: There is no such outcome, or it failed; nothing is written then.
        """
        given = dict(items)
        with self._database.transaction(write=True) as connection:
            query_nos = records.numbers(connection, queries, (key[0] for key in given))
            arm_nos = records.numbers(connection, arms, (key[1] for key in given))
            for named, mine in given.items():
                key = (query_nos[named[0]], arm_nos[named[1]], named[2])
                _put_scores(connection, named, key, mine)
        return len(given)

    def write_frame(self, long: pl.DataFrame, *, replace: bool = False) -> int:
        """Writes a row per outcome, with their queries and arms, by the driver's fast path.

        Args:
            long: The columns of `layout.to_long`, perhaps with `sample` (else 0), `error`,
                `created` (ISO text), `propensity` and `finish_reason`. Rows that hold nothing are
                left out.
            replace: Replace outcomes that are there, or else fail.

        Returns:
            How many outcomes were written.

        Raises:
            StoreError: A key is there already or twice in the frame, a value is out of its range,
                or a query is in the store with another text.
        """
        reject_twice_in_frame(long)
        try:
            with self._database.transaction(write=True) as connection:
                return bulk.write_frame(connection, long, replace=replace)
        except sa.exc.IntegrityError as error:
            sample = long["sample"] if "sample" in long.columns else [0] * long.height
            there = self._first_there(zip(long["query_id"], long["arm"], sample, strict=True))
            raise self._conflict(None if replace else there, error) from None

    def write_table(self, table: OutcomeTable, *, sample: int = 0, replace: bool = False) -> int:
        """Writes a table's cells as outcomes of one sample.

        Nominal costs, which were computed and not measured, are not written.

        Returns:
            How many outcomes were written.

        Raises:
            StoreError: As `write_frame`.
        """
        long = table.to_long().with_columns(sample=pl.lit(sample, pl.Int64))
        if table.cost_basis == "nominal":
            long = long.with_columns(cost_usd=pl.lit(None, pl.Float64))
        return self.write_frame(long, replace=replace)

    # Reading

    def queries(self) -> Iterator[Query]:
        """Every query, in the order they were added."""
        after = 0
        while True:
            page = (
                sa.select(queries).where(queries.c.no > after).order_by(queries.c.no).limit(_PAGE)
            )
            with self._database.transaction() as connection:
                rows = connection.execute(page).mappings().all()
            if not rows:
                return
            yield from map(records.query_of, rows)
            after = rows[-1]["no"]

    def arms(self) -> list[Arm]:
        """Every arm, in the order they were added."""
        with self._database.transaction() as connection:
            rows = connection.execute(sa.select(arms).order_by(arms.c.no)).mappings()
            return [records.arm_of(row) for row in rows]

    def outcomes(self) -> Iterator[Outcome]:
        """Every outcome with its scores, by query, arm and sample; failed ones too.

        Streams in pages, each read in a transaction of its own: what is written meanwhile may or
        may not be seen.
        """
        key = sa.tuple_(*(outcomes.c[name] for name in KEY))
        score_key = sa.tuple_(*(scores.c[name] for name in KEY))
        select = (
            sa.select(*_OUTCOME_COLUMNS)
            .select_from(_JOINED)
            .order_by(*(outcomes.c[name] for name in KEY))
        )
        after: tuple[int, ...] = (-1, -1, -1)
        while True:
            with self._database.transaction() as connection:
                page = select.where(key > after).limit(_PAGE)
                rows = connection.execute(page).mappings().all()
                if not rows:
                    return
                last = tuple(rows[-1][name] for name in KEY)
                stored = sa.select(scores).where(score_key > after, score_key <= last)
                by_key: dict[tuple[int, ...], list[sa.RowMapping]] = {}
                for row in connection.execute(stored).mappings():
                    by_key.setdefault(tuple(row[name] for name in KEY), []).append(row)
            for row in rows:
                mine = by_key.get(tuple(row[name] for name in KEY), ())
                yield records.outcome_of(row, mine)
            after = last

    def keys(self, *, failed: bool = True) -> set[NamedKey]:
        """(query id, arm name, sample) of every outcome: what a resumed run need not do again.

        Args:
            failed: Count failed outcomes too; without them, a resumed run tries those again.
        """
        some = sa.true() if failed else outcomes.c.error.is_(None)
        select = sa.select(queries.c.id, arms.c.name, outcomes.c.sample).select_from(_JOINED)
        with self._database.transaction() as connection:
            return {(row[0], row[1], row[2]) for row in connection.execute(select.where(some))}

    def count(self) -> int:
        """The number of outcomes, failed ones too."""
        with self._database.transaction() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(outcomes)).scalar_one()

    def failures(self) -> dict[str, int]:
        """Name of each arm with failed outcomes to their number: cells that `table` misses."""
        select = (
            sa.select(arms.c.name, sa.func.count())
            .select_from(_JOINED)
            .where(outcomes.c.error.is_not(None))
            .group_by(arms.c.name)
        )
        with self._database.transaction() as connection:
            return {row[0]: row[1] for row in connection.execute(select)}

    def table(self, *, sample: int | None = 0, responses: bool = True) -> OutcomeTable:
        """The outcomes as arrays.

        Queries and arms that have an outcome, in the order they were added. The cell of a failed
        outcome is missing; `failures` counts those.

        Args:
            sample: Which sample, or None for the mean of each number over the samples that have it.
            responses: Read the responses too; with `sample=None`, those of the lowest sample.

        Raises:
            StoreError: The store holds no outcome of the sample.
        """
        with self._database.transaction() as connection:
            table = bulk.read_table(connection, sample=sample, responses=responses)
        if table is None:
            what = "no outcomes" if sample is None else f"no outcomes of sample {sample}"
            raise self._database.fail(f"the store holds {what}")  # noqa: EM102
        return table

    def _first_there(self, keys: Iterable[NamedKey]) -> NamedKey | None:
        there = self.keys()
        return next((key for key in keys if key in there), None)

    def _conflict(self, there: NamedKey | None, error: sa.exc.IntegrityError) -> StoreError:
        if there is None:
            reason = f"a value breaks a rule of the store: {str(error.orig).splitlines()[0]}"
        else:
            reason = f"there already: {key_text(there)}; use upsert to replace it"
        return self._database.fail(reason)


def _put_scores(
    connection: sa.Connection, named: NamedKey, key: OutcomeKey, given: Sequence[Score]
) -> None:
    mine = sa.and_(*(outcomes.c[n] == v for n, v in zip(KEY, key, strict=True)))
    error = connection.execute(sa.select(outcomes.c.error).where(mine)).first()
    if error is None or error[0] is not None:
        what = "there is no outcome" if error is None else "a failed call has no scores:"
        msg = f"{what} {key_text(named)}"
        raise StoreError(msg)
    force = {s.name: s.value for s in given if s.name in {"performance", "llm_judge"}}
    if force:
        connection.execute(outcomes.update().where(mine).values(force))
    for row in records.score_rows(given, key):
        same = [scores.c[n] == row[n] for n in (*KEY, "name", "scorer", "version")]
        connection.execute(scores.delete().where(*same))
        connection.execute(scores.insert().values(row))


def _delete(connection: sa.Connection, keys: list[OutcomeKey]) -> None:
    for table in (scores, outcomes):
        where = [table.c[name] == sa.bindparam(f"_{name}") for name in KEY]
        values = [{f"_{n}": v for n, v in zip(KEY, key, strict=True)} for key in keys]
        connection.execute(table.delete().where(*where), values)
