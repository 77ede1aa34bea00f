"""Where a store is, and what of that may be shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fusionfactory.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["name_of", "parse", "secrets_of"]

_SECRETS = ("password", "passwd", "sslpassword")


def parse(url_or_path: str | Path) -> sa.URL:
    """The URL of a store with the driver that is used.

    Args:
        url_or_path: A file of SQLite, or a `sqlite:///` or `postgresql://` URL. What follows its
            `?` is handed to libpq, such as `sslmode`, `connect_timeout` or `application_name`.

    Raises:
        StoreError: It is malformed or of another kind.
    """
    text = str(url_or_path)
    if "://" not in text:
        return sa.URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        msg = "the URL of the store is malformed; expected postgresql://user@host:port/database"
        raise StoreError(msg) from None
    if url.drivername in {"postgres", "postgresql", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername != "sqlite":
        msg = f"a store is SQLite or PostgreSQL, not {url.drivername!r}"
        raise StoreError(msg)
    if not url.database or url.database == ":memory:":
        msg = "a SQLite store needs a file: sqlite:///path/to/store.db"
        raise StoreError(msg)
    return url


def name_of(url: sa.URL) -> str:
    """What messages call it: the file, or the server and the database without who asks."""
    if url.drivername == "sqlite":
        return str(url.database)
    host = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    return f"postgresql://{host or ','.join(_given(url, 'host'))}/{url.database or ''}"


def secrets_of(url: sa.URL) -> list[str]:
    """Words of it that no message may show."""
    given = [url.password, *(value for name in _SECRETS for value in _given(url, name))]
    return [str(secret) for secret in given if secret]


def _given(url: sa.URL, name: str) -> Iterable[str]:
    """Several hosts are several values of one option."""
    value = url.query.get(name, ())
    return (value,) if isinstance(value, str) else value
