"""Tables by which the gateways of one store share the versions of their router."""

from __future__ import annotations

import sqlalchemy as sa

from fusionfactory.store.schema import metadata

__all__ = ["router_book", "router_files"]

router_book = sa.Table(
    "router_book",
    metadata,
    sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("stamp", sa.BigInteger, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)
"""One row: what `versions.json` holds, and a number that grows with every change."""

router_files = sa.Table(
    "router_files",
    metadata,
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
"""The files of a version, as `save_router` writes them."""
