"""Verdicts: what a judge said of candidates' answers, asked once, kept, and read again.

A judge's prompt is a query like any other and its reply an outcome, so the collector does the work:
resumable, budgeted, with every call's cost. The query's id is the digest of the prompt: another
question, other answers, another order or another version of the prompt is another verdict, and the
same one is never paid twice, whatever plan or split asks for it. Keep them in a store of their own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError
from fusionfactory.judge.lineup import LINEUP_VERSION, pick_schema
from fusionfactory.judge.structured import StructuredClient
from fusionfactory.store import Store
from fusionfactory.types import Arm, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fusionfactory.answers import AnswerGroups
    from fusionfactory.calls import Progress, Summary
    from fusionfactory.clients import Message
    from fusionfactory.judge import Judge
    from fusionfactory.plans.lineup import Lineup
    from fusionfactory.plans.select import SelectPlan
    from fusionfactory.table import OutcomeTable

__all__ = [
    "Tally",
    "Verdict",
    "collect_verdicts",
    "lineup_queries",
    "prompt_query",
    "read_verdicts",
]

_TASK = "judge-select"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A reply to one prompt.

    Attributes:
        reply: None where the call failed.
        cost_usd: None where unknown.
    """

    reply: str | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a judge's verdicts go.

    Attributes:
        questions: Where candidates disagree.
        answered: Those with a reply to every prompt.
        decided: Of these, those where all replies pick the same answer: only they count.
        unread: Of these, those where a reply picks none that could be read.
        missing: Calls to make before all are answered.
    """

    questions: int
    answered: int
    decided: int
    unread: int
    missing: int

    @classmethod
    def of(cls, lineups: Sequence[Lineup], verdicts: Mapping[str, Verdict]) -> Tally:
        """Counts them.

        Args:
            lineups: Of `SelectPlan.lineups`.
            verdicts: Of `read_verdicts`.
        """
        answered = decided = unread = 0
        missing = set()
        for lineup in lineups:
            found = {query.id: verdicts.get(query.id) for query in lineup_queries(lineup)}
            replies = [None if v is None else v.reply for v in found.values()]
            missing |= {id_ for id_, verdict in found.items() if verdict is None}
            if None in replies:
                continue
            answered += 1
            decided += lineup.heard(replies) is not None
            unread += not lineup.synthesis and None in lineup.picks(replies)
        return cls(len(lineups), answered, decided, unread, len(missing))


def lineup_queries(lineup: Lineup) -> list[Query]:
    """The prompts of a line-up as queries."""
    return [prompt_query(prompt) for prompt in lineup.prompts()]


def prompt_query(messages: tuple[Message, ...]) -> Query:
    """The prompt as a query, named by its digest."""
    text = "\n\n".join(str(message["content"]) for message in messages)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Query(f"{LINEUP_VERSION}:{digest}", text, task=_TASK)


def read_verdicts(store: Store | str | Path, judge: str) -> dict[str, Verdict]:
    """Id of `prompt_query` to what the judge replied.

    Raises:
        StoreError: The store cannot be read.
    """
    if not isinstance(store, Store):
        with Store(store) as opened:
            return read_verdicts(opened, judge)
    return {
        outcome.query_id: Verdict(outcome.response, outcome.cost_usd)
        for outcome in store.outcomes()
        if outcome.arm == judge
    }


def collect_verdicts(
    store: Store,
    plan: SelectPlan,
    table: OutcomeTable,
    judge: Judge,
    *,
    answers: AnswerGroups | None = None,
    limit: int | None = None,
    budget_usd: float | None = None,
    retry_failed: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Asks the judge what the plan would ask it, and stores the replies.

    The questions come mixed, so that a run that stops early has asked about some of every kind.

    Args:
        store: Gets them; what it holds is not asked again.
        plan: Before `fit`, all queries whose candidates disagree are asked about; afterwards those
            that the plan itself would ask about.
        table: With the candidates' responses.
        judge: Who is asked; its name must be that of the plan's judge. Its client is closed.
        answers: The groups of the table's answers, where they are known already.
        limit: Have verdicts on so many queries at most; a higher one adds to the same.
        budget_usd: As in `collect`.
        retry_failed: Ask failed calls again.
        progress: Told after every write.

    Raises:
        ConfigError: The judge is another one than the plan's, or as in `collect`.
        TableError: The table lacks a candidate or its responses.
        CallError, StoreError: As in `collect`.
    """
    from fusionfactory.collect import ArmCall, collect

    if judge.name != plan.judge:
        msg = f"the plan's judge is {plan.judge!r}, not {judge.name!r}: name the same one for both"
        raise ConfigError(msg, field="select:judge")
    arm = Arm.parse(judge.name)
    schemas: dict[int, Mapping[str, object]] = {}
    calls = {}
    asker = replace(judge, structured=False) if plan.synthesis else judge
    lineups = plan.lineups(table, answers)
    for lineup in sorted(lineups, key=lambda line: lineup_queries(line)[0].id)[:limit]:
        count = len(lineup.shown)
        schema = schemas.setdefault(count, pick_schema(count))
        for messages in lineup.prompts():
            query = prompt_query(messages)
            request = asker.request(messages, schema)
            calls[query.id] = ArmCall(query, arm, request, judge.endpoint, judge.price)
    plain = judge.structured is None and not plan.synthesis
    client = StructuredClient(judge.client) if plain else judge.client
    return collect(
        store,
        list(calls.values()),
        {judge.endpoint: client},
        budget_usd=budget_usd,
        retry_failed=retry_failed,
        progress=progress,
    )
