"""Who judges, and how verdicts are asked for: by the engine of paid calls, into scores."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from fusionfactory.calls import run_calls
from fusionfactory.clients import ChatRequest
from fusionfactory.errors import ConfigError
from fusionfactory.judge.structured import StructuredClient, response_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fusionfactory.calls import Answer, Progress, Runner, Summary
    from fusionfactory.clients import Client, Message
    from fusionfactory.pricing import CallPrice
    from fusionfactory.store import Store
    from fusionfactory.types import Query, Score

    Key: TypeAlias = tuple[str, str, int]

__all__ = ["Judge", "JudgeSummary", "Question", "ask", "chosen_queries", "gathered"]

_PARAMS: Mapping[str, Any] = {"temperature": 0, "max_tokens": 1024}
_SHOWN_TROUBLES = 5
_SHOWN_CHARACTERS = 160


@dataclass(frozen=True)
class Judge:
    """A model that judges.

    Attributes:
        model: Its name at the endpoint.
        client: Makes the calls; closed at the end of every run.
        price: What a call costs.
        name: Stored with every score; the model's name unless given.
        endpoint: The client's name in messages.
        params: Of the request, over temperature 0 and at most 1,024 tokens; None leaves one out.
        structured: Hold the answer to a JSON schema: True, False, or None to try it and go without
            where the endpoint answers 400.
    """

    model: str
    client: Client
    price: CallPrice
    name: str = ""
    endpoint: str = "judge"
    params: Mapping[str, Any] = field(default_factory=dict)
    structured: bool | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.model)

    def request(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> ChatRequest:
        """The call that asks for a verdict of this JSON schema."""
        form = {} if self.structured is False else {"response_format": response_format(schema)}
        params = {**_PARAMS, **form, **self.params}
        given = {name: value for name, value in params.items() if value is not None}
        return ChatRequest(self.model, tuple(messages), given)

    def is_model(self, name: str) -> bool:
        """Whether an arm's model is this judge; a provider's prefix and capitals do not count."""
        return _bare(name) in {_bare(self.model), _bare(self.name)}


def _bare(model: str) -> str:
    return model.rsplit("/", 1)[-1].casefold()


@dataclass(frozen=True, slots=True)
class Question:
    """One verdict to ask for.

    Attributes:
        by: Who is asked.
        messages: Makes the prompt, when the call is made: long texts are not held twice.
        schema: Of the verdict, as JSON.
        key: Of the outcome that the score belongs to.
        score: The score that a reply gives, or None where it cannot be read.
        occasion: As `ChatRequest` has it.
    """

    by: Judge
    messages: Callable[[], Sequence[Message]]
    schema: Mapping[str, Any]
    key: Key
    score: Callable[[str], Score | None]
    occasion: str | None = None

    @property
    def endpoint(self) -> str:
        """Of the judge."""
        return self.by.endpoint

    @property
    def request(self) -> ChatRequest:
        """The call that asks for it."""
        request = self.by.request(self.messages(), self.schema)
        return replace(request, occasion=self.occasion)

    @property
    def price(self) -> CallPrice:
        """Of the judge's calls."""
        return self.by.price


@dataclass(frozen=True)
class JudgeSummary:
    """What a run of a judge did.

    Attributes:
        judge: Its name.
        versions: Prompt version to the verdicts written under it.
        judged: Verdicts written.
        failed: Calls that failed; their scores are missing and asked for by the next run.
        unread: Replies in which no verdict could be read; likewise missing.
        left: Calls not made: over budget, interrupted, or the endpoint was given up.
        held: Verdicts that the store held already.
        restored: Those of them that another judge's had replaced and that are in force again.
        no_target: Outcomes left out because their query has no target.
        no_response: Outcomes left out because their response is empty or was not kept.
        identical: Pairs of equal responses, a tie without a call.
        own: Verdicts of a model about answers of its own.
        spent_usd: Cost of this run, as far as costs are known.
        unpriced: Calls without a known cost.
        stopped: Why calls are left, a sentence each.
        troubles: What failed or could not be read, the most frequent first.
        seconds: From start to end.
    """

    judge: str
    versions: Mapping[str, int] = field(default_factory=dict)
    judged: int = 0
    failed: int = 0
    unread: int = 0
    left: int = 0
    held: int = 0
    restored: int = 0
    no_target: int = 0
    no_response: int = 0
    identical: int = 0
    own: int = 0
    spent_usd: float = 0.0
    unpriced: int = 0
    stopped: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the scores must know, a sentence each."""
        said = []
        if self.own:
            said.append(
                f"{self.own} of the verdicts are of {self.judge} about answers of its own: judges "
                "prefer those, so compare with another judge"
            )
        if self.failed or self.unread:
            said.append(
                f"{self.failed} calls failed and {self.unread} replies could not be read: those "
                "scores are missing, not 0; the next run asks again"
            )
        if self.no_target:
            said.append(f"{self.no_target} outcomes have no target and were left out")
        if self.no_response:
            said.append(f"{self.no_response} outcomes have no response to judge")
        return (*said, *self.stopped)


def ask(
    store: Store,
    by: Judge,
    questions: Sequence[Question],
    *,
    budget_usd: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    run: Runner = run_calls,
) -> JudgeSummary:
    """Asks for verdicts and stores each as a score as soon as its batch is there.

    Args:
        store: Gets the scores.
        by: Who is asked; its client is closed at the end.
        questions: In the order in which they are asked.
        budget_usd: Of this run.
        progress: Told after every write.
        run: Makes the calls: in this process, or on a Ray cluster.

    Raises:
        ConfigError: A budget is given and the judge has no known price.
        CallError: The endpoint refused: wrong key or unknown model.
        StoreError: The store cannot be written.
    """
    tally = _Tally()

    def write(answers: list[Answer[Question]]) -> None:
        read = ((answer.call.key, tally.score(answer)) for answer in answers)
        store.write_scores(gathered((key, score) for key, score in read if score is not None))

    client = StructuredClient(by.client) if by.structured is None else by.client

    # A verdict that is asked for once more, by another run, is to be another one.
    anew = uuid4().hex
    told_apart = [replace(q, occasion=f"{anew} {number}") for number, q in enumerate(questions)]

    async def all_calls() -> Summary:
        try:
            return await run(
                told_apart, {by.endpoint: client}, write, budget_usd=budget_usd, progress=progress
            )
        finally:
            await client.close()

    done = asyncio.run(all_calls())
    shown = tuple(f"{text} ({count}x)" for text, count in tally.troubles.most_common())
    return JudgeSummary(
        judge=by.name,
        versions=dict(tally.versions),
        judged=tally.versions.total(),
        failed=done.failed,
        unread=tally.unread,
        left=done.left,
        own=sum(n for arm, n in tally.models.items() if by.is_model(arm)),
        spent_usd=done.spent_usd,
        unpriced=done.unpriced,
        stopped=done.stopped,
        troubles=shown[:_SHOWN_TROUBLES],
        seconds=done.seconds,
    )


def gathered(scores: Iterable[tuple[Key, Score]]) -> list[tuple[Key, list[Score]]]:
    """The scores of each outcome together, as `Store.write_scores` takes them."""
    by_key: dict[Key, list[Score]] = {}
    for key, score in scores:
        by_key.setdefault(key, []).append(score)
    return list(by_key.items())


class _Tally:
    """Counts what answers came to."""

    def __init__(self) -> None:
        self.versions: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self.unread = 0

    def score(self, answer: Answer[Question]) -> Score | None:
        if answer.reply is None:
            self.troubles[f"failed: {answer.error}"] += 1
            return None
        score = answer.call.score(answer.reply.text)
        if score is None:
            self.unread += 1
            text = " ".join(answer.reply.text.split())[:_SHOWN_CHARACTERS]
            self.troubles[f"not readable: {text!r}"] += 1
            return None
        self.versions[score.version or ""] += 1
        self.models[answer.call.key[1].partition("|")[0]] += 1
        return score


def chosen_queries(store: Store, tasks: Sequence[str], arms: Sequence[str]) -> dict[str, Query]:
    """Id to query of the tasks named, or of all; checks the names of tasks and arms.

    The tasks take turns, so that the first verdicts of a long run cover every task.

    Raises:
        ConfigError: A task or an arm is not in the store.
    """
    by_task: dict[str | None, list[Query]] = {}
    for query in store.queries():
        by_task.setdefault(query.task, []).append(query)
    _check_names("task", tasks, (name for name in by_task if name is not None))
    _check_names("arm", arms, (arm.name for arm in store.arms()))
    wanted = [mine for name, mine in by_task.items() if not tasks or name in tasks]
    longest = max(map(len, wanted), default=0)
    return {mine[row].id: mine[row] for row in range(longest) for mine in wanted if row < len(mine)}


def _check_names(kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    there = list(known)
    for name in given:
        if name not in there:
            msg = f"the store has no {kind} {name!r}; it has: {', '.join(there) or 'none'}"
            raise ConfigError(msg, field=kind)
