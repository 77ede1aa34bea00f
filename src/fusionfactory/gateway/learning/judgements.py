"""Which answers a judge is asked about, and what that has cost: kept in the store.

An answer is in the sample if a hash of its request's id says so: restarts and reloads leave the
sample as it is, and a larger share adds to it. Ids are random, so the sample depends on nothing
that routing or users do, and a score stands for 1/share answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from fusionfactory.gateway.log.logged import HAS_TEXT
from fusionfactory.store.schema import (
    arms,
    conversations,
    judgements,
    outcomes,
    queries,
    requests,
)
from fusionfactory.types import Outcome, Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fusionfactory.store import Store

__all__ = ["Judgements", "Sampled", "is_sampled"]

_DAY_S = 86_400.0
_PAGE = 2_000
_LOCK = 7_246_835  # any number but the others': whoever reserves in PostgreSQL holds this lock
_WITHOUT_TEXT = ("embeddings",)
_CALLS_TOOLS = "tool_calls"


def is_sampled(id_: str, share: float) -> bool:
    """Whether a request is in the sample of that share."""
    return int.from_bytes(sha256(id_.encode()).digest()[:8]) < share * 2**64


@dataclass(frozen=True, slots=True)
class Sampled:
    """An answer of the sample.

    Attributes:
        number: Of its query in the store.
        query: What was asked: the whole conversation, where it is more than one message.
        outcome: The answer.
    """

    number: int
    query: Query
    outcome: Outcome


class Judgements:
    """The answers of a store that were judged in the background, and those that are to be.

    Args:
        store: Of the gateway's requests.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def next(
        self, after: int, since: float, share: float, limit: int
    ) -> tuple[list[Sampled], int | None]:
        """The next answers of the sample that no judge was asked about.

        Args:
            after: Number of the query after which to look.
            since: Unix seconds of the oldest.
            share: Of the sample.
            limit: How many at most.

        Returns:
            The answers, and the number up to which the store was looked through; None where
            there was nothing more to look at.
        """
        page = (
            sa.select(requests.c.query_no, queries.c.id)
            .join(queries, queries.c.no == requests.c.query_no)
            .where(requests.c.query_no > after, requests.c.at >= since)
            .order_by(requests.c.query_no)
            .limit(_PAGE)
        )
        with self._store.transaction() as connection:
            rows = connection.execute(page).all()
            if not rows:
                return [], None
            drawn = [number for number, id_ in rows if is_sampled(id_, share)]
            found = _answers(connection, drawn) if drawn else []
        looked = rows[-1][0] if len(found) <= limit else found[limit - 1].number
        return found[:limit], looked

    def spent_usd(self, now: float) -> float:
        """What the day has cost so far, in UTC, calls under way at the most that they can cost."""
        with self._store.transaction() as connection:
            return _spent(connection, now)

    def reserve(
        self,
        most_usd: Mapping[int, float],
        *,
        share: float,
        budget_usd: float | None,
        now: float,
    ) -> list[int]:
        """Enters answers before a judge is asked about them, as far as the day's budget goes.

        What dies between this and `settle` has cost its most: no budget is ever exceeded for it.

        Args:
            most_usd: Number of the query to the most that the call can cost, in order.
            share: Of the sample.
            budget_usd: Per day, in UTC; None for no limit.
            now: Unix seconds.

        Returns:
            The numbers that may be asked about.
        """
        with self._store.transaction(write=True) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            there = sa.select(judgements.c.query_no).where(judgements.c.query_no.in_(most_usd))
            taken = set(connection.execute(there).scalars())
            spent = _spent(connection, now)
            rows: list[dict[str, Any]] = []
            for number, usd in most_usd.items():
                if number in taken:
                    continue
                if budget_usd is not None and spent + usd > budget_usd:
                    break
                spent += usd
                rows.append({"query_no": number, "at": now, "share": share, "usd": usd})
            if rows:
                connection.execute(judgements.insert(), rows)
        return [int(row["query_no"]) for row in rows]

    def settle(self, usd: Mapping[int, float]) -> None:
        """Enters what calls did cost."""
        if not usd:
            return
        rows = [{"_number": number, "_usd": cost} for number, cost in usd.items()]
        mine = judgements.c.query_no == sa.bindparam("_number")
        change = judgements.update().where(mine).values(usd=sa.bindparam("_usd"))
        with self._store.transaction(write=True) as connection:
            connection.execute(change, rows)

    def release(self, numbers: Iterable[int]) -> None:
        """Takes back answers that nobody was asked about, or whose call certainly cost nothing."""
        gone = list(numbers)
        if gone:
            with self._store.transaction(write=True) as connection:
                connection.execute(judgements.delete().where(judgements.c.query_no.in_(gone)))


def _spent(connection: sa.Connection, now: float) -> float:
    today = judgements.c.at >= now // _DAY_S * _DAY_S
    return float(
        connection.execute(sa.select(sa.func.sum(judgements.c.usd)).where(today)).scalar() or 0.0
    )


def _answers(connection: sa.Connection, numbers: Sequence[int]) -> list[Sampled]:
    """Those of the requests that have an answer in words which no judge has scored."""
    same = (outcomes.c.query_no == requests.c.query_no) & (outcomes.c.arm_no == requests.c.arm_no)
    reason = sa.func.coalesce(outcomes.c.finish_reason, "")
    select = (
        sa.select(
            queries.c.no, queries.c.id, queries.c.text, queries.c.target, queries.c.metric,
            arms.c.name, outcomes.c.response, conversations.c.messages,
        )
        .select_from(
            requests.join(queries, queries.c.no == requests.c.query_no)
            .join(arms, arms.c.no == requests.c.arm_no)
            .join(outcomes, same & (outcomes.c.sample == 0))
            .outerjoin(conversations, conversations.c.query_no == requests.c.query_no)
            .outerjoin(judgements, judgements.c.query_no == requests.c.query_no)
        )
        .where(
            requests.c.query_no.in_(numbers),
            requests.c.api.not_in(_WITHOUT_TEXT),
            outcomes.c.error.is_(None),
            outcomes.c.llm_judge.is_(None),
            sa.func.trim(outcomes.c.response) != "",
            reason != _CALLS_TOOLS,
            judgements.c.query_no.is_(None),
            HAS_TEXT,
        )
        .order_by(queries.c.no)
    )  # fmt: skip
    return [_sampled(row) for row in connection.execute(select).mappings()]


def _sampled(row: sa.RowMapping) -> Sampled:
    messages = orjson.loads(row["messages"]) if row["messages"] else None
    text = _transcript(messages) if messages else row["text"]
    query = Query(row["id"], text, target=row["target"], metric=row["metric"])
    return Sampled(row["no"], query, Outcome(row["id"], row["name"], response=row["response"]))


def _transcript(messages: Sequence[Any]) -> str:
    """The conversation with who said what; pictures and the like by the name of their kind."""
    lines = []
    for message in messages:
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        said = [
            str(part["text"]) if part.get("text") else f"[{part.get('type')}]"
            for part in parts
            if isinstance(part, dict) and (part.get("text") or part.get("type") != "text")
        ]
        calls = message.get("tool_calls")
        said += [orjson.dumps(calls).decode()] if calls else []
        lines.append(f"{message.get('role')}: " + "\n".join(said))
    return "\n\n".join(lines)
