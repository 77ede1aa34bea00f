"""Older stores, opened by several at once, and databases that are no store, on both kinds."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from fusionfactory.errors import StoreError
from fusionfactory.store import SCHEMA_VERSION, Store
from fusionfactory.store.migration import ADDED, MIGRATIONS
from fusionfactory.types import Outcome, Score
from store_programs import OPENER, start

VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO meta VALUES ('schema_version', '1');
CREATE TABLE queries (no SERIAL PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL,
    task TEXT, domain TEXT, target TEXT, metric TEXT, split TEXT, description TEXT);
CREATE TABLE arms (no SERIAL PRIMARY KEY, name TEXT NOT NULL UNIQUE, model TEXT NOT NULL,
    strategy TEXT NOT NULL, input_price DOUBLE PRECISION, output_price DOUBLE PRECISION,
    description TEXT);
CREATE TABLE outcomes (query_no INTEGER NOT NULL, arm_no INTEGER NOT NULL, sample INTEGER NOT NULL,
    performance DOUBLE PRECISION, llm_judge DOUBLE PRECISION, cost_usd DOUBLE PRECISION,
    input_tokens DOUBLE PRECISION, output_tokens DOUBLE PRECISION, latency_s DOUBLE PRECISION,
    response TEXT, error TEXT, created TEXT, PRIMARY KEY (query_no, arm_no, sample));
CREATE TABLE scores (query_no INTEGER NOT NULL, arm_no INTEGER NOT NULL, sample INTEGER NOT NULL,
    name TEXT NOT NULL, scorer TEXT NOT NULL, version TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL, reason TEXT,
    PRIMARY KEY (query_no, arm_no, sample, name, scorer, version));
INSERT INTO queries (id, text) VALUES ('q', 'Old?');
INSERT INTO arms (name, model, strategy) VALUES ('m', 'm', 'direct');
INSERT INTO outcomes (query_no, arm_no, sample, performance, response) VALUES (1, 1, 0, 0.5, 'x');
"""


def engine_of(url: str) -> sa.Engine:
    """Of the database itself, beside the store."""
    return sa.create_engine(
        url.replace("postgresql:", "postgresql+psycopg:") if "://" in url else f"sqlite:///{url}"
    )


def write_raw(url: str, script: str) -> None:
    if "://" not in url:
        script = script.replace("SERIAL", "INTEGER")
    engine = engine_of(url)
    with engine.begin() as connection:
        for statement in filter(None, map(str.strip, script.split(";"))):
            connection.execute(sa.text(statement))
    engine.dispose()


def tables_of(url: str) -> set[str]:
    engine = engine_of(url)
    names = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return names


def old_store(url: str, version: int) -> None:
    """A store as that version left it."""
    statements = [s for step in range(1, version) for s in MIGRATIONS[step]]
    write_raw(url, VERSION_1 + ";".join(statements))
    engine = engine_of(url)
    with engine.begin() as connection:
        for since, tables in ADDED.items():
            for table in tables if since <= version else ():
                table.create(connection)
        connection.execute(sa.text(f"UPDATE meta SET value = '{version}'"))  # noqa: S608  a number
    engine.dispose()


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_an_older_store_keeps_its_rows(store_url: str, version: int) -> None:
    old_store(store_url, version)
    old = Outcome("q", "m", response="x", scores=(Score("performance", 0.5),))
    new = Outcome("q", "m", 1, propensity=0.25, finish_reason="stop", logprob=-0.5)
    with Store(store_url) as store:
        assert list(store.outcomes()) == [old]
        store.append([new])
        with pytest.raises(StoreError, match="a value breaks a rule of the store"):
            store.append([Outcome("q", "m", 2, logprob=0.5)])
    with Store(store_url) as store:
        assert list(store.outcomes()) == [old, new]
    engine = engine_of(store_url)
    with engine.connect() as connection:
        stated = connection.execute(sa.text("SELECT value FROM meta")).scalars().all()
    engine.dispose()
    assert stated == [str(SCHEMA_VERSION)]
    assert {t.name for tables in ADDED.values() for t in tables} < tables_of(store_url)


@pytest.mark.parametrize("version", [1, 4])
def test_several_processes_open_an_older_store(store_url: str, version: int) -> None:
    old_store(store_url, version)
    openers = [start(OPENER, store_url) for _ in range(3)]
    for opener in openers:
        _, complaint = opener.communicate(timeout=120)
        assert opener.returncode == 0, complaint
    with Store(store_url) as store:
        assert store.table().quality.tolist() == [[0.5]]


@pytest.mark.parametrize("name", ["gateways", "writers"])
def test_a_table_of_the_new_version_that_is_anothers(store_url: str, name: str) -> None:
    old_store(store_url, 5)
    write_raw(store_url, f"CREATE TABLE {name} (x TEXT)")
    with pytest.raises(StoreError, match=f"has a table '{name}' that is not its own; rename"):
        Store(store_url)
    write_raw(store_url, f"DROP TABLE {name}")
    with Store(store_url) as store:
        assert store.count() == 1


META = "CREATE TABLE meta (key TEXT, value TEXT)"
NEWER = "; INSERT INTO meta VALUES ('schema_version', '99')"
GARBLED = "; INSERT INTO meta VALUES ('schema_version', 'two')"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            META + NEWER,
            f"has schema version 99, this program knows up to {SCHEMA_VERSION}: upgrade",
        ),
        (META, r"states no schema version \(found None\)"),
        ("CREATE TABLE meta (x TEXT)", "states no schema version"),
        (
            META + GARBLED,
            r"states no schema version \(found 'two'\)",
        ),
        ("CREATE TABLE queries (x TEXT)", "has a table 'queries' but no FusionFactory store"),
    ],
)
def test_what_is_no_store_of_ours(store_url: str, script: str, message: str) -> None:
    write_raw(store_url, script)
    before = tables_of(store_url)
    with pytest.raises(StoreError, match=message):
        Store(store_url)
    assert tables_of(store_url) == before
