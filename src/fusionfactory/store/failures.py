"""What an error of the database means: that it is gone, that others were in the way, or neither."""

from __future__ import annotations

import sqlalchemy as sa

__all__ = ["as_ours", "collided", "driver_error", "is_lost", "reason"]

_GONE = frozenset({"25P03", "57P01", "57P02", "57P03", "57P05"})
"""Ended by an administrator, a crash or a silence, or the server only starts."""

_COLLISIONS = frozenset({"40001", "40P01"})
"""Serialisation failure and deadlock: of those in each other's way, one is rolled back."""


def is_lost(error: Exception) -> bool:
    """Whether the connection to PostgreSQL is lost, or none could be made."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    state = _state(error)
    if state is not None:
        return state in _GONE or state.startswith("08")
    # Said by the driver, and not by a server.
    is_sqlite = type(error.orig).__module__.startswith("sqlite3")
    return isinstance(error, sa.exc.OperationalError) and not is_sqlite


def collided(error: Exception) -> bool:
    """Whether another transaction was in the way of this one, which was rolled back for that."""
    return isinstance(error, sa.exc.DBAPIError) and _state(error) in _COLLISIONS


def reason(error: Exception) -> str:
    """The first line of what the driver says."""
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__


def driver_error(connection: sa.Connection) -> type[Exception]:
    """The base of the driver's errors, for what is done with its own connection."""
    base: type[Exception] = connection.dialect.dbapi.Error  # type: ignore[union-attr]
    return base


def as_ours(connection: sa.Connection, error: Exception) -> Exception:
    """An error of the driver's own connection, as that of a statement by SQLAlchemy would be."""
    dialect, base = connection.dialect, driver_error(connection)
    ours = sa.exc.DBAPIError.instance(
        None, None, error, base, hide_parameters=True, dialect=dialect
    )
    if is_lost(ours):
        connection.invalidate(error)
    return ours


def _state(error: sa.exc.DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state
