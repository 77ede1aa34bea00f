"""The tables of a store, and their version.

Version 1: the first. Version 2: `outcomes.propensity`. Version 3: `outcomes.finish_reason`.
Version 4: the gateway's tables, from `requests` to `gaps`. Version 5: `outcomes.logprob`.
Version 6: `writers`, and what several gateways share: `shared_access` and `shared_versions`.
"""

from __future__ import annotations

import sqlalchemy as sa

__all__ = [
    "KEY",
    "SCHEMA_VERSION",
    "arms",
    "conversations",
    "feedback",
    "gaps",
    "journals",
    "judgements",
    "meta",
    "metadata",
    "outcomes",
    "queries",
    "requests",
    "router_arms",
    "scores",
    "tallies",
    "writers",
]

SCHEMA_VERSION = 6
metadata = sa.MetaData()
"""Of every table of a store, those of other modules included."""

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

queries = sa.Table(
    "queries",
    metadata,
    sa.Column("no", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("text", sa.Text, nullable=False),
    *(
        sa.Column(n, sa.Text)
        for n in ("task", "domain", "target", "metric", "split", "description")
    ),
)

arms = sa.Table(
    "arms",
    metadata,
    sa.Column("no", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("input_price", sa.Double),
    sa.Column("output_price", sa.Double),
    sa.Column("description", sa.Text),
)

KEY = ("query_no", "arm_no", "sample")
outcomes = sa.Table(
    "outcomes",
    metadata,
    *(sa.Column(name, sa.Integer, primary_key=True, autoincrement=False) for name in KEY),
    sa.Column("performance", sa.Double),
    sa.Column("llm_judge", sa.Double),
    sa.Column("cost_usd", sa.Double),
    sa.Column("input_tokens", sa.Double),
    sa.Column("output_tokens", sa.Double),
    sa.Column("latency_s", sa.Double),
    sa.Column("response", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("created", sa.Text),
    sa.Column("propensity", sa.Double),
    sa.Column("finish_reason", sa.Text),
    sa.Column("logprob", sa.Double, sa.CheckConstraint("logprob <= 0")),
    sa.CheckConstraint("performance BETWEEN 0 AND 1"),
    sa.CheckConstraint("llm_judge BETWEEN 0 AND 1"),
    sa.CheckConstraint("cost_usd >= 0"),
    sa.CheckConstraint("error IS NULL OR (performance IS NULL AND llm_judge IS NULL)"),
)
"""`performance` and `llm_judge` hold the scores of these names in force: the last written."""

scores = sa.Table(
    "scores",
    metadata,
    *(sa.Column(name, sa.Integer, primary_key=True, autoincrement=False) for name in KEY),
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("name", "scorer", "version")),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("reason", sa.Text),
)
"""Every score that names its scorer, version or reason, or is neither of the two above.

An absent scorer or version is the empty text, for it is part of the key.
"""

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("query_no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("api", sa.Text, nullable=False),
    sa.Column("asked", sa.Text, nullable=False),
    sa.Column("key", sa.Text),
    sa.Column("session", sa.Text),
    sa.Column("stream", sa.SmallInteger, nullable=False),
    sa.Column("cache", sa.Text, nullable=False),
    sa.Column("policy", sa.Text),
    sa.Column("router_no", sa.Integer),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("chosen_no", sa.Integer),
    sa.Column("propensity", sa.Double),
    sa.Column("expected_quality", sa.Double),
    sa.Column("expected_cost_usd", sa.Double),
    sa.Column("arm_no", sa.Integer),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("failed", sa.SmallInteger, nullable=False),
    sa.Column("cost_usd", sa.Double),
    sa.Column("input_tokens", sa.Double),
    sa.Column("output_tokens", sa.Double),
    sa.Column("latency_s", sa.Double),
    sa.Column("first_byte_s", sa.Double),
    sa.Column("upstream_s", sa.Double),
    sa.Column("estimates", sa.LargeBinary),
    sa.Column("propensities", sa.LargeBinary),
    sa.Column("detail", sa.Text),
    sa.Column("error", sa.Text),
    sa.Index("requests_at", "at"),
    sa.Index(
        "requests_key",
        "key",
        "at",
        sqlite_where=sa.text("key IS NOT NULL"),
        postgresql_where=sa.text("key IS NOT NULL"),
    ),
    sa.Index(
        "requests_failed",
        "at",
        sqlite_where=sa.text("failed = 1"),
        postgresql_where=sa.text("failed = 1"),
    ),
)
"""A row per request of the gateway; its query has the request's id.

`estimates` are float32: the quality of each arm of `router_no`, then the cost; `propensities` one
of each. `detail` is JSON.
"""

conversations = sa.Table(
    "conversations",
    metadata,
    sa.Column("query_no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("messages", sa.Text, nullable=False),
)
"""What was sent, as JSON, where the query's text does not say it all."""

router_arms = sa.Table(
    "router_arms",
    metadata,
    sa.Column("no", sa.Integer, primary_key=True),
    sa.Column("router", sa.Text, nullable=False),
    sa.Column("arms", sa.Text, nullable=False),
)
"""A router's version and, as JSON, the names of the arms that it estimates, in order."""

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("no", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("key", sa.Text),
    sa.Column("score", sa.Double),
    sa.Column("target", sa.Text),
    sa.Column("applied", sa.SmallInteger, nullable=False),
    sa.Index(
        "feedback_open",
        "no",
        sqlite_where=sa.text("applied = 0"),
        postgresql_where=sa.text("applied = 0"),
    ),
)
"""What users said of a request, by its id; not yet applied where that is not yet there."""

judgements = sa.Table(
    "judgements",
    metadata,
    sa.Column("query_no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("share", sa.Double, nullable=False),
    sa.Column("usd", sa.Double, nullable=False),
    sa.Index("judgements_at", "at"),
)
"""The requests whose answer a judge was asked about: when, with which probability, for how much.

A row is there before the call is made; `usd` is then the most that it can cost.
"""

tallies = sa.Table(
    "tallies",
    metadata,
    *(
        sa.Column(name, sa.Integer, primary_key=True, autoincrement=False)
        for name in ("minute", "arm_no", "router_no", "failed")
    ),
    sa.Column("why", sa.Text, primary_key=True),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("unpriced", sa.Integer, nullable=False),
    sa.Column("cost_usd", sa.Double, nullable=False),
    sa.Column("input_tokens", sa.Double, nullable=False),
    sa.Column("output_tokens", sa.Double, nullable=False),
    sa.Column("latency", sa.LargeBinary, nullable=False),
    sa.Column("first_byte", sa.LargeBinary, nullable=False),
    sa.Column("estimated", sa.LargeBinary, nullable=False),
)
"""Sums over the requests of a minute, so that a million need not be read; see `gateway.log.tally`.

An absent arm or router is 0.
"""

journals = sa.Table(
    "journals",
    metadata,
    sa.Column("segment", sa.Text, primary_key=True),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("damaged", sa.Integer, nullable=False),
)
"""How far each segment of the journal is in these tables, and how many lines could not be."""

gaps = sa.Table(
    "gaps",
    metadata,
    sa.Column("no", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("requests", sa.Integer, nullable=False),
)
"""How many records were shed, and when that was noticed."""

writers = sa.Table(
    "writers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)
"""Of each connection that writes to PostgreSQL, how many of its transactions are committed.

By it a commit whose answer was lost is looked up. `at` is Unix seconds of the database.
"""
