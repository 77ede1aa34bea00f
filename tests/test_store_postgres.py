"""What only stores in PostgreSQL have: URLs with options, TLS, limits, deadlocks, other texts."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusionfactory.errors import MissingExtraError, StoreAwayError, StoreError
from fusionfactory.layout import to_long
from fusionfactory.store import Store
from fusionfactory.store.schema import arms, queries
from fusionfactory.types import Arm, Outcome, Query, Score
from store_programs import new_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with new_store(url, ["m"]) as opened:
        yield opened


def one(store: Store, statement: str) -> object:
    with store.transaction() as connection:
        return connection.execute(sa.text(statement)).scalar()


# URLs


def test_no_message_shows_a_password(postgres: PostgresServer) -> None:
    secret = "-".join(("hunter2", "secret"))
    wrong = f"postgresql://postgres:{secret}@127.0.0.1:{postgres.port}/nowhere?password={secret}"
    with pytest.raises(StoreError, match='database "nowhere" does not exist') as caught:
        Store(wrong)
    assert secret not in str(caught.value)
    with Store(f"postgresql://postgres:{secret}@127.0.0.1:{postgres.port}/postgres") as store:
        assert repr(store) == f"Store('postgresql://127.0.0.1:{postgres.port}/postgres')"
        assert secret not in repr(vars(store))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:hunter2@host/db", "a store is SQLite or PostgreSQL, not 'mysql'"),
        ("sqlite://", "a SQLite store needs a file"),
        ("sqlite:///:memory:", "a SQLite store needs a file"),
        ("://hunter2", "the URL of the store is malformed"),
        ("postgresql://me:hunter2@host:port/db", "the URL of the store is malformed"),
    ],
)
def test_urls_of_no_store(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        Store(url)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_not_there() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(
        StoreAwayError, match=r"postgresql://127\.0\.0\.1:9/db: the server cannot be reached: "
    ) as caught:
        Store("postgresql://me:hunter2@127.0.0.1:9/db?connect_timeout=2")
    assert "hunter2" not in str(caught.value)


def test_postgres_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"fusionfactory\[postgres\]"):
        Store("postgresql://me@host/db")


def test_a_server_that_does_not_answer_is_given_up() -> None:
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        before = time.monotonic()
        with pytest.raises(StoreAwayError, match=r"the server cannot be reached: .*timeout"):
            Store(f"postgresql://me@127.0.0.1:{port}/db?connect_timeout=2")
        assert time.monotonic() - before >= 1


def test_options_of_the_url_reach_the_server(url: str) -> None:
    with Store(url) as store:
        assert one(store, "SHOW application_name") == "fusionfactory"
        assert one(store, "SHOW lock_timeout") == "1min"
        assert one(store, "SHOW statement_timeout") == "15min"
        assert one(store, "SHOW idle_in_transaction_session_timeout") == "2min"
    named = f"{url}?application_name=night%20run&options=-c%20lock_timeout%3D3s"
    with Store(named) as store:
        assert one(store, "SHOW application_name") == "night run"
        assert one(store, "SHOW lock_timeout") == "3s"
        assert one(store, "SHOW statement_timeout") == "15min"


def test_several_hosts_are_tried_in_turn(postgres: PostgresServer, url: str) -> None:
    database = url.rsplit("/", 1)[1]
    hosts = f"host=127.0.0.1:9&host=127.0.0.1:{postgres.port}"
    several = f"postgresql://postgres@/{database}?{hosts}&target_session_attrs=read-write"
    with Store(several) as store:
        assert store.count() == 0
        name = f"postgresql://127.0.0.1:9,127.0.0.1:{postgres.port}/{database}"
        assert repr(store) == f"Store({name!r})"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of its own signature, for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "server.crt", folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=test", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return certificate, key


def test_tls_and_whom_to_trust(
    postgres: PostgresServer, url: str, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(StoreAwayError, match="server does not support SSL"):
        Store(f"{url}?sslmode=require")
    with postgres.tls(*certificate):
        trusted = f"{url}?sslmode=verify-full&sslrootcert={certificate[0]}"
        with Store(trusted) as store:
            assert one(store, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True
            store.add_arms([Arm("m")])
        nobody = tmp_path / "nobody.crt"
        nobody.touch()
        with pytest.raises(StoreAwayError, match="root certificate"):
            Store(f"{url}?sslmode=verify-full&sslrootcert={nobody}")


# Limits


def test_a_lock_that_is_not_given_back_is_not_waited_for_for_ever(url: str, store: Store) -> None:
    with (
        Store(f"{url}?options=-c%20lock_timeout%3D200ms") as hasty,
        store.transaction(write=True) as connection,
    ):
        connection.execute(sa.text("LOCK TABLE outcomes"))
        with pytest.raises(StoreError, match="canceling statement due to lock timeout"):
            hasty.append([Outcome("q0", "m")])
    assert store.append([Outcome("q0", "m")]) == 1


def test_a_silent_writer_loses_its_locks(url: str, store: Store) -> None:
    limit = "-c%20idle_in_transaction_session_timeout%3D300ms"
    with Store(f"{url}?options={limit}") as silent:

        def hold(connection: sa.Connection) -> None:
            connection.execute(sa.text("LOCK TABLE outcomes"))
            assert store.append([Outcome("q0", "m")]) == 1

        with pytest.raises(StoreAwayError, match=r"cannot be reached: .*idle-in-transaction"):
            silent.run(hold, write=True, patience_s=0)
        assert silent.count() == 1


def test_those_in_a_deadlock_go_on_one_after_the_other(store: Store) -> None:
    both = threading.Barrier(2)
    tries: list[str] = []

    def change(first: str, second: str) -> None:
        def work(connection: sa.Connection) -> None:
            tries.append(first)
            for name in (first, second):
                mine = queries.update().where(queries.c.id == name)
                connection.execute(mine.values(description=f"{first} first"))
                if len(tries) <= 2 and name == first:
                    both.wait()

        store.run(work, write=True)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(change, "q0", "q1"), pool.submit(change, "q1", "q0")]:
            future.result()
    assert len(tries) == 3
    said = {query.description for query in store.queries() if query.id != "q2"}
    assert said == {f"{tries[-1]} first"}


def test_a_transaction_that_is_in_a_deadlock_says_so(store: Store) -> None:
    both = threading.Barrier(2)

    def change(first: str, second: str) -> str | None:
        try:
            with store.transaction(write=True) as connection:
                for name in (first, second):
                    mine = queries.update().where(queries.c.id == name)
                    connection.execute(mine.values(description=first))
                    if name == first:
                        both.wait()
        except StoreError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(change, "q0", "q1"), pool.submit(change, "q1", "q0")]
        said = [future.result() for future in futures]
    (complaint,) = [text for text in said if text]
    assert complaint.endswith("deadlock detected")


def test_an_isolation_that_collides_is_tried_again(url: str) -> None:
    serial = f"{url}?options=-c%20default_transaction_isolation%3Dserializable"
    with new_store(serial, ["m"]) as store:

        def count_up(_: int) -> None:
            def work(connection: sa.Connection) -> None:
                price = connection.execute(sa.select(arms.c.input_price)).scalar() or 0.0
                time.sleep(0.01)
                connection.execute(arms.update().values(input_price=price + 1.0))

            store.run(work, write=True)

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(count_up, range(12)))
        assert store.arms()[0].input_price == 12.0


def test_who_may_only_read_can_read(postgres: PostgresServer, url: str, store: Store) -> None:
    store.append([Outcome("q0", "m")])
    role = f"reader{url.rsplit('test', 1)[1]}"
    with store.transaction(write=True) as connection:
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(sa.text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
    with Store(url.replace("postgres@", f"{role}@")) as reader:
        assert reader.count() == 1
        with pytest.raises(StoreError, match="permission denied for table arms"):
            reader.add_arms([Arm("n")])


# Texts


def test_a_nul_is_kept_as_the_sign_for_none(store: Store) -> None:
    store.append([Outcome("q0", "m", response="a\0b", error=None)])
    rows = pl.DataFrame({"query_id": ["n"], "query": ["x\0y"]}).with_columns(
        task_name=pl.lit("t"), llm=pl.lit("m"), response=pl.lit("c\0d")
    )
    store.write_frame(to_long(rows))
    assert [outcome.response for outcome in store.outcomes()] == ["a\ufffdb", "c\ufffdd"]
    assert next(q.text for q in store.queries() if q.id == "n") == "x\ufffdy"


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(
        st.none()
        | st.text(st.sampled_from("\\N\tn\n\r.\"',x é\u2028"))
        | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        min_size=3,
        max_size=3,
    ),
    number=st.none() | st.floats(0, 1e300),
)
def test_a_frame_is_copied_as_it_is(
    store: Store, texts: list[str | None], number: float | None
) -> None:
    long = to_long(
        pl.DataFrame(
            {"query_id": ["q0", "q1", "q2"], "query": ["0?", "1?", "2?"], "response": texts},
            schema_overrides={"response": pl.String},
        ).with_columns(task_name=pl.lit("t"), llm=pl.lit("m"))
    ).with_columns(error=pl.lit("x"), cost_usd=pl.lit(number, pl.Float64))
    store.write_frame(long, replace=True)
    found = list(store.outcomes())
    assert [outcome.response for outcome in found] == texts
    assert {outcome.cost_usd for outcome in found} == {number}


def test_replaced_rows_of_a_frame_lose_their_scores(store_url: str) -> None:
    """On both databases: they were of another answer."""
    with new_store(store_url, ["m"]) as store:
        old = Outcome("q0", "m", scores=(Score("style", 0.5), Score("performance", 1.0, "by")))
        store.append([old, replace(old, query_id="q1")])
        rows = pl.DataFrame({"query_id": ["q0"], "query": ["0?"]}).with_columns(
            task_name=pl.lit("t"), llm=pl.lit("m"), performance=pl.lit(0.25)
        )
        store.write_frame(to_long(rows), replace=True)
        new, other = store.outcomes()
        assert new.scores == (Score("performance", 0.25),)
        assert len(other.scores) == 2


def test_queries_of_a_frame_are_added_as_others_are(store: Store) -> None:
    store.add_queries([Query("q0", "0?", task="old", target="t")])
    rows = pl.DataFrame(
        {"query_id": ["b", "q0", "a"], "query": ["b?", "0?", "a?"], "response": ["x", "y", "z"]}
    ).with_columns(task_name=pl.lit("new"), llm=pl.lit("m"))
    store.write_frame(to_long(rows))
    found = {query.id: query for query in store.queries()}
    assert list(found) == ["q0", "q1", "q2", "b", "a"]
    assert (found["q0"].task, found["q0"].target) == ("new", "t")
    with pytest.raises(StoreError, match="query 'a' is in the store with another text"):
        store.write_frame(to_long(rows.with_columns(query=pl.lit("other"))[2:]), replace=True)
