"""Connections to PostgreSQL that break, at a commit and elsewhere: nothing lost, nothing twice."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import polars as pl
import pytest
import sqlalchemy as sa

from commit_proxy import CommitProxy
from fusionfactory.errors import StoreAwayError, StoreError
from fusionfactory.gateway.log.traffic import Traffic
from fusionfactory.layout import to_long
from fusionfactory.store import Store
from fusionfactory.store.connection import PATIENCE_S
from fusionfactory.store.schema import meta, outcomes
from fusionfactory.store.streaming import stream
from fusionfactory.types import Arm, Outcome, Query, Score
from store_programs import new_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from commit_proxy import Loss
    from postgres_server import PostgresServer

FIRST = Outcome("q0", "m", scores=(Score("style", 0.5),))


def frame(*ids: str) -> pl.DataFrame:
    rows = pl.DataFrame({"query_id": ids, "query": ids}).with_columns(
        task_name=pl.lit("t"), llm=pl.lit("framed"), performance=pl.lit(0.5)
    )
    return to_long(rows)


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[CommitProxy]:
    with CommitProxy(postgres.port) as between:
        yield between


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """Of a small store."""
    where = postgres.database()
    with new_store(where, ["m"]) as store:
        store.append([FIRST])
    return where


@pytest.fixture
def store(proxy: CommitProxy, url: str) -> Iterator[Store]:
    """By the way that breaks."""
    with Store(proxy.url(url), patience_s=30.0) as opened:
        yield opened


def append(store: Store) -> object:
    return store.append([Outcome("q1", "m"), Outcome("q2", "m")])


def upsert(store: Store) -> object:
    return store.upsert([FIRST, Outcome("q1", "m")])


def score(store: Store) -> object:
    return store.write_scores([(("q0", "m", 0), [Score("performance", 1.0, "by")])])


def write(store: Store) -> object:
    return store.write_frame(frame("a", "b"))


def overwrite(store: Store) -> object:
    return store.write_frame(frame("a", "b"), replace=True)


def name(store: Store) -> object:
    store.add_queries([Query("new", "New?")])
    store.add_arms([Arm("new")])
    return None


EVERY = [append, upsert, score, write, overwrite, name]


def content(url: str) -> tuple[object, ...]:
    with Store(url) as store:
        rows = sorted(store.outcomes(), key=lambda o: (o.query_id, o.arm))
        return rows, [q.id for q in store.queries()], [a.name for a in store.arms()]


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("losses", [("answer",), ("commit",), ("commit", "answer", "answer")])
def test_what_is_lost_at_a_commit_is_written_once(
    postgres: PostgresServer,
    proxy: CommitProxy,
    url: str,
    store: Store,
    method: Callable[[Store], object],
    losses: tuple[Loss, ...],
) -> None:
    undisturbed = postgres.database()
    with new_store(undisturbed, ["m"]) as other:
        other.append([FIRST])
        expected = method(other)
    proxy.lose(*losses)
    assert method(store) == expected
    assert proxy.lost or "answer" in losses  # an answer may be lost to the look-up, too
    proxy.forget()
    assert content(url) == content(undisturbed)


def test_a_transaction_whose_answer_is_lost_is_looked_up(
    proxy: CommitProxy, url: str, store: Store
) -> None:
    row = {"key": "k", "value": "v"}
    proxy.lose("answer")
    with store.transaction(write=True) as connection:
        connection.execute(meta.insert().values(row))
    proxy.lose("commit")
    with (
        pytest.raises(StoreAwayError, match="the server cannot be reached"),
        store.transaction(write=True) as connection,
    ):
        connection.execute(meta.insert().values(key="l", value="v"))
    with Store(url) as direct, direct.transaction() as connection:
        keys = connection.execute(sa.select(meta.c.key)).scalars().all()
    assert sorted(keys) == ["k", "schema_version"]


def test_a_commit_that_nobody_can_look_up(proxy: CommitProxy, url: str, store: Store) -> None:
    with Store(proxy.url(url), patience_s=0.5) as hasty:
        hasty.count()
        proxy.lose("answer", then_cut=True)
        with pytest.raises(StoreError, match="it is not known whether that is stored"):
            append(hasty)
    proxy.mend()
    assert store.count() == 3


def test_methods_wait_for_a_server_that_is_away(proxy: CommitProxy, store: Store) -> None:
    proxy.cut()
    mender = threading.Timer(1.0, proxy.mend)
    mender.start()
    assert append(store) == 2
    mender.join()
    assert store.table(sample=0).arm_names == ("m",)
    reading = store.outcomes()
    assert next(reading).query_id == "q0"
    proxy.cut()
    proxy.mend()
    assert [outcome.query_id for outcome in reading] == ["q1", "q2"]


def test_a_server_that_stays_away_is_told_of(proxy: CommitProxy, url: str) -> None:
    with Store(proxy.url(url), patience_s=0.5) as store:
        assert store.count() == 1
        proxy.cut()
        before = time.monotonic()
        with pytest.raises(
            StoreAwayError, match=r"/test\d+: the server cannot be reached \(waited 0\.5 s\): "
        ):
            append(store)
        assert time.monotonic() - before >= 0.5
        with pytest.raises(StoreAwayError, match="the server cannot be reached"):
            store.count()
        with (
            pytest.raises(StoreAwayError, match="the server cannot be reached: "),
            store.transaction(),
        ):
            pass
        with pytest.raises(StoreAwayError, match="the server cannot be reached: "):
            store.run(lambda connection: connection.info, patience_s=0)
        proxy.mend()
        assert append(store) == 2
        assert store.count() == 3


def test_a_lazy_store_opens_once_the_server_is_there(proxy: CommitProxy, url: str) -> None:
    proxy.cut()
    with pytest.raises(StoreAwayError, match="the server cannot be reached: "):
        Store(proxy.url(url))
    with Store(proxy.url(url), lazy=True) as store:
        with pytest.raises(StoreAwayError, match="the server cannot be reached: "):
            store.count()
        proxy.mend()
        assert store.count() == 1


def test_a_long_read_that_breaks_begins_again(proxy: CommitProxy, store: Store) -> None:
    append(store)
    tries: list[int] = []

    def work(connection: sa.Connection) -> list[int]:
        pages = stream(connection, sa.select(outcomes.c.query_no).order_by("query_no"), 1)
        found = next(pages)
        tries.append(len(found))
        if len(tries) == 1:
            proxy.cut()
            time.sleep(0.2)
            proxy.mend()
        return [number for page in (found, *pages) for (number,) in page]

    assert store.run(work) == [1, 2, 3]
    assert tries == [1, 1]


def test_what_the_gateway_reads_is_told_of_at_once_and_comes_back(
    proxy: CommitProxy, url: str
) -> None:
    with Store(proxy.url(url)) as store:
        traffic = Traffic(store)
        proxy.cut()
        for read in (lambda: traffic.summary(0), lambda: traffic.recent(), lambda: traffic.table()):
            before = time.monotonic()
            with pytest.raises(StoreAwayError, match="the server cannot be reached: "):
                read()
            assert time.monotonic() - before < PATIENCE_S / 2  # nobody waits for it
        proxy.mend()
        assert traffic.summary(0)["requests"] == 0


def test_a_client_that_the_server_ended_goes_on(postgres: PostgresServer, store: Store) -> None:
    """As an administrator does, or a pooler between them."""
    over = threading.Event()

    def end_all() -> None:
        while not over.wait(0.05):
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'fusionfactory' AND datname LIKE 'test%'"
            )

    ending = threading.Thread(target=end_all)
    ending.start()
    try:
        for sample in range(1, 40):
            store.append([Outcome("q0", "m", sample)])
    finally:
        over.set()
        ending.join()
    assert store.count() == 40
    assert [outcome.sample for outcome in store.outcomes()] == list(range(40))
