"""A log played back: the same question to the same model gets the answer that is in the log."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fusionfactory.clients.base import ChatReply
from fusionfactory.errors import CallError, TableError
from fusionfactory.table import OutcomeTable
from fusionfactory.types import Outcome, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fusionfactory.clients.base import ChatRequest, Message
    from fusionfactory.store import Store
    from fusionfactory.types import Arm

__all__ = ["ReplayClient", "plain_prompt"]

_SHOWN = 80


def plain_prompt(query: Query, strategy: str) -> tuple[Message, ...]:
    """The query's text as it is, whatever the strategy."""
    return ({"role": "user", "content": query.text},)


class ReplayClient:
    """Serves logged responses by model and text of the messages; calls nobody.

    A request finds an outcome by the model's name with the messages that `prompt` makes of the
    query, or by the whole arm's name, `m|think`, in place of the model's. Where several outcomes
    fit, the direct strategy counts before others, and the lowest sample before later ones.

    Args:
        log: Where the outcomes are. A failed one is served as its error.
        prompt: Query and strategy to messages, as they were sent: `Task.messages` of the task.
        concurrency: How many calls at a time it says make sense.

    Raises:
        TableError: The table holds no responses.
        StoreError: The store cannot be read.
    """

    def __init__(
        self,
        log: Store | OutcomeTable,
        *,
        prompt: Callable[[Query, str], Sequence[Message]] = plain_prompt,
        concurrency: int = 64,
    ) -> None:
        self._concurrency = concurrency
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        cells = list(_of_table(log) if isinstance(log, OutcomeTable) else _of_store(log))
        cells.sort(key=lambda cell: (cell[1].strategy != "direct", cell[2].sample))
        for query, arm, outcome in cells:
            text = _text(prompt(query, arm.strategy))
            for name in (arm.name, arm.model):
                self._outcomes.setdefault((name, text), outcome)

    def __len__(self) -> int:
        return len(self._outcomes)

    @property
    def concurrency(self) -> int:
        """As it was set."""
        return self._concurrency

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Looks the call up.

        Raises:
            CallError: The log has no such call, or the call failed when it was logged.
        """
        text = _text(request.messages)
        outcome = self._outcomes.get((request.model, text))
        if outcome is None:
            msg = f"the log has no answer of {request.model!r} to {text[:_SHOWN]!r}"
            raise CallError(msg)
        sent, received = outcome.input_tokens, outcome.output_tokens
        if outcome.error is not None or not outcome.response:
            msg = outcome.error or "the log has an empty answer"
            raise CallError(msg, input_tokens=sent, output_tokens=received)
        return ChatReply(
            outcome.response,
            outcome.finish_reason,
            sent,
            received,
            outcome.latency_s,
            logprob=outcome.logprob,
        )

    def drop_waiting(self) -> None:
        """Nothing waits: every call is answered at once."""

    async def close(self) -> None:
        """Does nothing: there is nothing to release."""


def _text(messages: Iterable[Message]) -> str:
    return "\n".join(_content(message.get("content")) for message in messages)


def _content(content: object) -> str:
    if isinstance(content, list | tuple):
        return "".join(str(part.get("text", "")) for part in content)
    return "" if content is None else str(content)


def _of_store(store: Store) -> Iterator[tuple[Query, Arm, Outcome]]:
    queries = {query.id: query for query in store.queries()}
    arms = {arm.name: arm for arm in store.arms()}
    for outcome in store.outcomes():
        yield queries[outcome.query_id], arms[outcome.arm], outcome


def _of_table(table: OutcomeTable) -> Iterator[tuple[Query, Arm, Outcome]]:
    responses = table.responses
    if responses is None:
        msg = "the table holds no responses to play back"
        raise TableError(msg, field="response")
    for i, row in enumerate(table.queries.iter_rows(named=True)):
        query = Query(row["query_id"], row["query"], row["task"])
        for j, arm in enumerate(table.arms):
            if responses[i, j] is not None:
                yield query, arm, _outcome(table, i, j, str(responses[i, j]))


def _outcome(table: OutcomeTable, i: int, j: int, response: str) -> Outcome:
    names = ("input_tokens", "output_tokens", "latency_s", "logprob")
    values = (float(getattr(table, name)[i, j]) for name in names)
    sent, received, latency_s, logprob = (None if math.isnan(v) else v for v in values)
    return Outcome(
        query_id=str(table.queries["query_id"][i]),
        arm=table.arms[j].name,
        response=response,
        input_tokens=None if sent is None else round(sent),
        output_tokens=None if received is None else round(received),
        latency_s=latency_s,
        logprob=logprob,
    )
