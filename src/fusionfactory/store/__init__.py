"""The durable store of queries, arms and outcomes: SQLite by default, PostgreSQL by URL."""

from fusionfactory.store.schema import SCHEMA_VERSION
from fusionfactory.store.store import Store

__all__ = ["SCHEMA_VERSION", "Store"]
