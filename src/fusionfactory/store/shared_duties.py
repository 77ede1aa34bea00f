"""The table by which the gateways of one store agree on which of them does a duty."""

from __future__ import annotations

import sqlalchemy as sa

from fusionfactory.store.schema import metadata

__all__ = ["duty_leases"]

duty_leases = sa.Table(
    "duty_leases",
    metadata,
    sa.Column("duty", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)
"""Who does it, and until when nobody else will; Unix seconds of the database."""
