"""What the store knows of the gateway's requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from fusionfactory.gateway.log.decided import Decided, read_decided
from fusionfactory.gateway.log.logged import HAS_TEXT, Logged, read_logged
from fusionfactory.gateway.log.rows import detail_of, vectors_of
from fusionfactory.gateway.log.totals import read_series, read_summary
from fusionfactory.store.bulk import read_table
from fusionfactory.store.schema import (
    arms,
    conversations,
    feedback,
    outcomes,
    queries,
    requests,
    router_arms,
)

if TYPE_CHECKING:
    from fusionfactory.store import Store
    from fusionfactory.table import OutcomeTable

__all__ = ["Traffic"]

_chosen = arms.alias("chosen")
_answer = (
    (outcomes.c.query_no == requests.c.query_no)
    & (outcomes.c.arm_no == requests.c.arm_no)
    & (outcomes.c.sample == 0)
)
_JOINED = (
    requests.join(queries, queries.c.no == requests.c.query_no)
    .outerjoin(arms, arms.c.no == requests.c.arm_no)
    .outerjoin(_chosen, _chosen.c.no == requests.c.chosen_no)
    .outerjoin(router_arms, router_arms.c.no == requests.c.router_no)
    .outerjoin(outcomes, _answer)
)
_PLAIN = ("at", "api", "asked", "key", "session", "stream", "cache", "policy", "why", "propensity",
          "expected_quality", "expected_cost_usd", "status", "error", "cost_usd", "input_tokens",
          "output_tokens", "latency_s", "first_byte_s", "upstream_s")  # fmt: skip
_COLUMNS = (
    queries.c.id,
    *(requests.c[name] for name in _PLAIN),
    arms.c.name.label("arm"),
    _chosen.c.name.label("chosen"),
    router_arms.c.router,
    outcomes.c.performance.label("quality"),
    outcomes.c.llm_judge.label("judge"),
    outcomes.c.finish_reason,
    outcomes.c.logprob,
)
_PREVIEW = 200
_COUNTS = ("input_tokens", "output_tokens")


class Traffic:
    """Reads the gateway's requests: one by one, in sums, and as data to learn from.

    Args:
        store: Where the ingester puts them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def decision(self, id: str) -> dict[str, Any] | None:
        """Every field of the request's `Record`, and what is known of the answer.

        Those are `expected_quality` and `expected_cost_usd` of the chosen arm, `quality` and
        `judge` (scores in force), `target`, and `feedback`: a list of `at, key, score, target`.

        Returns:
            None where the store has no such request, which a moment after its answer is so.
        """
        more = [requests.c.estimates, requests.c.propensities, requests.c.detail, queries.c.text]
        more += [
            router_arms.c.arms,
            queries.c.target,
            outcomes.c.response,
            conversations.c.messages,
        ]
        spoken = _JOINED.outerjoin(conversations, conversations.c.query_no == requests.c.query_no)
        select = sa.select(*_COLUMNS, *more).select_from(spoken).where(queries.c.id == id)
        columns = [feedback.c[name] for name in ("at", "key", "score", "target")]
        said = sa.select(*columns).where(feedback.c.id == id).order_by(feedback.c.at, feedback.c.no)
        with self._store.transaction() as connection:
            row = connection.execute(select).mappings().first()
            given = [dict(item) for item in connection.execute(said).mappings()]
        if row is None:
            return None
        fields = {k: v for k, v in row.items() if k not in {"arms", "detail"}}
        fields |= vectors_of(fields, orjson.loads(row["arms"] or "[]")) | detail_of(row["detail"])
        fields["messages"] = row["messages"] and orjson.loads(row["messages"])
        return {**_typed(fields), "feedback": given}

    def recent(
        self,
        limit: int = 50,
        before: float | None = None,
        arm: str | None = None,
        key: str | None = None,
        *,
        failed_since: float | None = None,
    ) -> list[dict[str, Any]]:
        """The latest requests, newest first: the numbers and names of `decision`, no long texts.

        `text` holds the first characters of what was asked.

        Args:
            limit: How many at most.
            before: Only those that came before this time, in Unix seconds: for the next page.
            arm: Only those that this arm answered.
            key: Only those of this client key.
            failed_since: Only those that failed, since this time.
        """
        preview = sa.func.substr(queries.c.text, 1, _PREVIEW).label("text")
        select = sa.select(*_COLUMNS, preview).select_from(_JOINED)
        if before is not None:
            select = select.where(requests.c.at < before)
        if key is not None:
            select = select.where(requests.c.key == key)
        if failed_since is not None:
            select = select.where(requests.c.at >= failed_since, requests.c.failed == 1)
        if arm is not None:
            number = sa.select(arms.c.no).where(arms.c.name == arm).scalar_subquery()
            select = select.where(requests.c.arm_no == number)
        select = select.order_by(requests.c.at.desc()).limit(limit)
        with self._store.transaction() as connection:
            return [_typed(dict(row)) for row in connection.execute(select).mappings()]

    def summary(self, since: float) -> dict[str, Any]:
        """Sums over the requests since a time; see `totals.read_summary`."""
        with self._store.transaction() as connection:
            return read_summary(connection, since)

    def series(
        self, since: float, buckets: int, until: float | None = None
    ) -> list[dict[str, Any]]:
        """`at, step_s, requests, errors, cost_usd, latency_p50, latency_p95` of equal spans.

        Spans are whole minutes, so that a short time has fewer of them, at least one.

        Args:
            since: Unix seconds of the beginning.
            buckets: How many at most.
            until: Unix seconds of the end; None for now.
        """
        with self._store.transaction() as connection:
            return read_series(connection, since, buckets, until)

    def logged(self, since: float = 0.0, router: str | None = None) -> Logged:
        """What a router decided and what came of it, as arrays for off-policy estimates.

        Args:
            since: Unix seconds of the first.
            router: Version that decided; None for every one.
        """
        with self._store.transaction() as connection:
            return read_logged(connection, since, router)

    def decided(
        self, limit: int, router: str | None = None, *, first: bool = False
    ) -> Decided | None:
        """The latest decisions of a router, or its first ones; None where none has decided.

        Args:
            limit: How many at most.
            router: Its version; None for the one that decided last.
            first: The first ones.
        """
        with self._store.transaction() as connection:
            return read_decided(connection, limit, router, first=first)

    def table(self, since: float = 0.0) -> OutcomeTable | None:
        """The requests whose texts are kept, as an outcome table with missing cells.

        Returns:
            None where no arm was called for any.
        """
        among = (
            sa.select(requests.c.query_no)
            .join(queries, queries.c.no == requests.c.query_no)
            .where(requests.c.at >= since, HAS_TEXT)
        )
        with self._store.transaction() as connection:
            return read_table(connection, sample=0, responses=True, among=among)


def _typed(fields: dict[str, Any]) -> dict[str, Any]:
    fields["stream"] = bool(fields["stream"])
    for name in _COUNTS:
        if fields[name] is not None:
            fields[name] = round(fields[name])
    return fields
