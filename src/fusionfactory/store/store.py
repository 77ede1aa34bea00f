"""The store: what was asked, what can answer and what came out, kept durably and appended to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import polars as pl
import sqlalchemy as sa

from fusionfactory.store import bulk, frames, reading, records, writing
from fusionfactory.store.connection import PATIENCE_S, Database
from fusionfactory.store.keys import NamedKey, key_text, reject_twice, reject_twice_in_frame
from fusionfactory.store.schema import arms, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fusionfactory.errors import StoreError
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm, Outcome, Query, Score

__all__ = ["Store"]

T = TypeVar("T")


class Store:
    """Queries, arms and outcomes in SQLite (a file) or PostgreSQL (a URL).

    The key of an outcome is (query, arm, sample). What a method has written is committed when it
    returns, and a method writes all or nothing. Several threads and processes can use one store:
    readers never wait, writers wait for each other (on PostgreSQL, those of the same rows).

    Where the server of PostgreSQL goes away meanwhile, methods wait for it and go on within two
    seconds after it is back: what was certainly not committed is written again, and a commit whose
    answer was lost is looked up. `transaction` alone does not wait.

    Args:
        url_or_path: `runs.db`, `sqlite:///runs.db` or `postgresql://user@host/database`, perhaps
            with options of libpq such as `?sslmode=verify-full`. A missing file or an empty
            database becomes a store; an older store is migrated.
        lazy: Open it when it is first used, and not at once.
        patience_s: Seconds for which methods wait for a server that was there and is away.

    Raises:
        StoreError: The database cannot be opened, is newer than this program or is no store.
        MissingExtraError: PostgreSQL without the extra `postgres`.
    """

    def __init__(
        self, url_or_path: str | Path, *, lazy: bool = False, patience_s: float = PATIENCE_S
    ) -> None:
        self._database = Database(url_or_path, lazy=lazy, patience_s=patience_s)

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
            StoreAwayError: The database cannot be reached; nothing is written.
            StoreError: The database refuses. `sqlalchemy.exc.IntegrityError` passes.
        """
        return self._database.transaction(write=write)

    def run(
        self,
        work: Callable[[sa.Connection], T],
        *,
        write: bool = False,
        patience_s: float | None = None,
    ) -> T:
        """Does work in a transaction as the methods do it: again until one is committed.

        Args:
            work: Does all that it does by the connection, for it may be done more than once.
            write: Take the write lock of SQLite at the beginning, and wait for it.
            patience_s: Seconds to wait for a server that is away; None for those of the store,
                0 to be told at once.

        Returns:
            What the work does.

        Raises:
            StoreAwayError: The database was away for longer; nothing is written.
            StoreError: The database refuses. `sqlalchemy.exc.IntegrityError` passes.
        """
        return self._database.run(work, write=write, patience_s=patience_s)

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
        given = list(items)
        self.run(lambda connection: records.add_queries(connection, given), write=True)

    def add_arms(self, items: Iterable[Arm]) -> None:
        """Adds arms; of those already there, prices and description are replaced where given."""
        given = list(items)
        self.run(lambda connection: records.add_arms(connection, given), write=True)

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
            self.run(
                lambda connection: writing.write_outcomes(connection, items, replace=replace),
                write=True,
            )
        except sa.exc.IntegrityError as error:
            keys = [] if replace else [(o.query_id, o.arm, o.sample) for o in items]
            raise self._conflict(keys, error) from None
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
        try:
            self.run(lambda connection: writing.write_scores(connection, given), write=True)
        except sa.exc.IntegrityError as error:
            raise self._conflict([], error) from None
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
            return self.run(
                lambda connection: frames.write_frame(connection, long, replace=replace), write=True
            )
        except sa.exc.IntegrityError as error:
            sample = long["sample"] if "sample" in long.columns else [0] * long.height
            keys = list(zip(long["query_id"], long["arm"], sample, strict=True))
            raise self._conflict([] if replace else keys, error) from None

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
        page, after = self.run(partial(reading.query_page, after=0))
        while page:
            yield from page
            page, after = self.run(partial(reading.query_page, after=after))

    def arms(self) -> list[Arm]:
        """Every arm, in the order they were added."""
        select = sa.select(arms).order_by(arms.c.no)
        rows = self.run(lambda connection: connection.execute(select).mappings().all())
        return [records.arm_of(row) for row in rows]

    def outcomes(self) -> Iterator[Outcome]:
        """Every outcome with its scores, by query, arm and sample; failed ones too.

        Streams in pages, each read in a transaction of its own: what is written meanwhile may or
        may not be seen.
        """
        page, after = self.run(partial(reading.outcome_page, after=(-1, -1, -1)))
        while page:
            yield from page
            page, after = self.run(partial(reading.outcome_page, after=after))

    def keys(self, *, failed: bool = True) -> set[NamedKey]:
        """(query id, arm name, sample) of every outcome: what a resumed run need not do again.

        Args:
            failed: Count failed outcomes too; without them, a resumed run tries those again.
        """
        return self.run(partial(reading.read_keys, failed=failed))

    def count(self) -> int:
        """The number of outcomes, failed ones too."""
        select = sa.select(sa.func.count()).select_from(outcomes)
        return self.run(lambda connection: connection.execute(select).scalar_one())

    def failures(self) -> dict[str, int]:
        """Name of each arm with failed outcomes to their number: cells that `table` misses."""
        return self.run(reading.count_failures)

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
        table = self.run(partial(bulk.read_table, sample=sample, responses=responses))
        if table is None:
            what = "no outcomes" if sample is None else f"no outcomes of sample {sample}"
            raise self._database.fail(f"the store holds {what}")  # noqa: EM102
        return table

    def _conflict(self, keys: list[NamedKey], error: sa.exc.IntegrityError) -> StoreError:
        """What broke a rule: one of the keys, where it is there already, or else a value."""
        there = self.run(partial(reading.first_there, keys=keys))
        if there is None:
            reason = f"a value breaks a rule of the store: {str(error.orig).splitlines()[0]}"
        else:
            reason = f"there already: {key_text(there)}; use upsert to replace it"
        return self._database.fail(reason)
