"""How long the database may let a gateway wait for what its clients' access depends on."""

from __future__ import annotations

import sqlalchemy as sa

__all__ = ["NOW", "be_patient"]

NOW = sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Double)
"""Unix seconds of the database, by which gateways whose clocks differ agree."""

_SILENT_MS = 1_500
_WAIT_MS = 3_000
"""Longer, so that whoever waits for one that is cut off is not refused but gets on."""
_STATEMENT_MS = 5_000


def be_patient(connection: sa.Connection) -> None:
    """Bounds the transaction that has just begun.

    A gateway that is cut off in the middle of one would otherwise hold its locks until the server
    notices, which may take hours, and no other could spend.
    """
    limits = {
        "lock_timeout": _WAIT_MS,
        "statement_timeout": _STATEMENT_MS,
        "idle_in_transaction_session_timeout": _SILENT_MS,
    }
    connection.execute(
        sa.select(*(sa.func.set_config(name, str(value), True) for name, value in limits.items()))
    )
