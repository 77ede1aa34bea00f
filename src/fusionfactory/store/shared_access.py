"""Tables by which the gateways of one store share client keys, what these used, and budgets."""

from __future__ import annotations

import sqlalchemy as sa

from fusionfactory.store.schema import metadata

__all__ = ["budget_grants", "client_keys", "gateways", "key_usage"]

gateways = sa.Table(
    "gateways",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),
)
"""Every gateway of the store, and when it last told of itself; Unix seconds of the database.

Of two processes with one `id`, the one that started later counts.
"""

client_keys = sa.Table(
    "client_keys",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("sha256", sa.Text, nullable=False, unique=True),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
)
"""Client keys: `content` is what `keys.json` holds of one; every change has the next `changed`."""

key_usage = sa.Table(
    "key_usage",
    metadata,
    sa.Column("gateway", sa.Text, primary_key=True),
    sa.Column("key", sa.Integer, primary_key=True, autoincrement=False),
    *(
        sa.Column(name, sa.Double, nullable=False)
        for name in (
            "minute", "requests", "tokens", "requests_before", "tokens_before",
            "day", "day_usd", "day_priced", "day_unpriced",
            "month", "month_usd", "month_priced", "month_unpriced",
        )
    ),
    sa.Column("changed", sa.Double, nullable=False, index=True),
)  # fmt: skip
"""What a key used at one gateway: the counters of `gateway.access.meter`, workers added up.

`changed` is in Unix seconds of the database.
"""

budget_grants = sa.Table(
    "budget_grants",
    metadata,
    sa.Column("gateway", sa.Text, primary_key=True),
    sa.Column("key", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("period", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("usd", sa.Double, nullable=False),
    sa.Column("spent_usd", sa.Double, nullable=False),
)
"""How far a gateway's spending for a key may rise in a day or month before it asks again.

`at` is the number of the day or month; `spent_usd` is what it had spent when it last asked.
"""
