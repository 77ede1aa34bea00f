"""From an empty database or an older store to the tables of this version."""

from __future__ import annotations

import sqlalchemy as sa

from fusionfactory.errors import StoreError
from fusionfactory.store import schema
from fusionfactory.store.schema import SCHEMA_VERSION, meta, metadata
from fusionfactory.store.shared_access import budget_grants, client_keys, gateways, key_usage
from fusionfactory.store.shared_duties import duty_leases
from fusionfactory.store.shared_versions import router_book, router_files

__all__ = ["ADDED", "MIGRATIONS", "prepare"]

MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: ("ALTER TABLE outcomes ADD COLUMN propensity DOUBLE PRECISION",),
    2: ("ALTER TABLE outcomes ADD COLUMN finish_reason TEXT",),
    3: (),
    4: ("ALTER TABLE outcomes ADD COLUMN logprob DOUBLE PRECISION CHECK (logprob <= 0)",),
    5: (),
}
"""Version to the statements that lead from it to the next; new tables need none."""

ADDED = {
    4: (
        schema.requests,
        schema.conversations,
        schema.router_arms,
        schema.feedback,
        schema.judgements,
        schema.tallies,
        schema.journals,
        schema.gaps,
    ),
    6: (
        schema.writers,
        gateways,
        client_keys,
        key_usage,
        budget_grants,
        router_book,
        router_files,
        duty_leases,
    ),
}
"""Version to the tables that it added."""

_LOCK = 7_246_833  # any number: whoever opens a PostgreSQL store for the first time holds this lock


def prepare(connection: sa.Connection) -> None:
    """Creates the tables in an empty database, or brings an older store to this version.

    Raises:
        StoreError: The store is newer than this program, or the tables are another program's.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    present = set(sa.inspect(connection).get_table_names())
    if meta.name not in present:
        foreign = sorted(present & set(metadata.tables))
        if foreign:
            msg = f"the database has a table {foreign[0]!r} but no FusionFactory store; use another"
            raise StoreError(msg)
        metadata.create_all(connection)
        value = {"key": "schema_version", "value": str(SCHEMA_VERSION)}
        connection.execute(meta.insert().values(value))
        return
    version = _version(connection)
    if version > SCHEMA_VERSION:
        msg = (
            f"the store has schema version {version}, this program knows up to {SCHEMA_VERSION}: "
            "upgrade fusionfactory"
        )
        raise StoreError(msg)
    if version == SCHEMA_VERSION:
        return
    ours = {table.name for since in ADDED if since > version for table in ADDED[since]}
    foreign = sorted(present & ours)
    if foreign:
        msg = f"the store has a table {foreign[0]!r} that is not its own; rename that first"
        raise StoreError(msg)
    for step in range(version, SCHEMA_VERSION):
        for statement in MIGRATIONS[step]:
            connection.execute(sa.text(statement))
    metadata.create_all(connection)
    row = meta.c.key == "schema_version"
    connection.execute(meta.update().where(row).values(value=str(SCHEMA_VERSION)))


def _version(connection: sa.Connection) -> int:
    query = sa.select(meta.c.value).where(meta.c.key == "schema_version")
    try:
        value = connection.execute(query).scalar()
    except sa.exc.DatabaseError:
        value = None
    if value is None or not str(value).isdecimal() or int(value) < 1:
        msg = f"the table 'meta' states no schema version (found {value!r}); is this a store?"
        raise StoreError(msg)
    return int(value)
