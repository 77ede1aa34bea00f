"""A judge in the background: scores for a sample of the answers, within a budget per day."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from fusionfactory.calls import run_calls
from fusionfactory.errors import CallError, ConfigError
from fusionfactory.gateway.learning.judgements import Judgements
from fusionfactory.judge.asking import gathered
from fusionfactory.judge.grade import grade_question
from fusionfactory.judge.structured import StructuredClient
from fusionfactory.plan import call_price, choose, make_judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fusionfactory.calls import Answer
    from fusionfactory.config import Config
    from fusionfactory.gateway.learning.judgements import Sampled
    from fusionfactory.judge import Judge
    from fusionfactory.judge.asking import Question
    from fusionfactory.store import Store

__all__ = ["Judging", "check_judge"]

_BATCH = 32
_LOOK_BACK_S = 86_400.0
"""An answer that could not be judged for so long, for want of budget, is left."""

_TOKENS_OF_THE_FORM = 512
"""More than what a chat template and the schema of the reply add to a message."""

_LIMITS = ("max_completion_tokens", "max_tokens")

_log = logging.getLogger(__name__)


class Judging:
    """Judges step by step, in the process that no client waits for.

    Args:
        config: Its `[serve.judge]` says who judges, which share and for how much.
        store: Of the gateway's requests; gets the scores, as `fusionfactory judge` writes them.
        clock: Unix seconds.

    Raises:
        ConfigError: See `check_judge`.
    """

    def __init__(
        self, config: Config, store: Store, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._config, self._store, self._clock = config, store, clock
        self._settings = config.serve.judge
        self._judgements = Judgements(store)
        self._looked = 0
        check_judge(config)

    def step(self) -> int:
        """Judges some answers.

        Returns:
            How much was done; 0 where there is nothing to judge, or the day's budget is spent.

        Raises:
            CallError: The judge's endpoint refuses: wrong key or unknown model.
            StoreError: The store cannot be read or written.
        """
        if self._settings.model is None:
            return 0
        now = self._clock()
        found, looked = self._judgements.next(
            self._looked, now - _LOOK_BACK_S, self._settings.share, _BATCH
        )
        if looked is None:
            return 0
        done = self._ask(found, now) if found else 0
        if done == len(found):
            self._looked = looked
            return done or 1
        return done

    def _ask(self, found: Sequence[Sampled], now: float) -> int:
        """Asks about as many as the budget allows; gives of how many that is the end."""
        assert self._settings.model is not None  # noqa: S101  `step` returned where it is
        by = make_judge(self._config, self._settings.model)
        questions = {
            item.number: grade_question(
                by, item.query, item.outcome, with_target=item.query.target is not None
            )
            for item in found
        }
        chosen = self._judgements.reserve(
            {number: _most_usd(question) for number, question in questions.items()},
            share=self._settings.share,
            budget_usd=self._settings.usd_per_day,
            now=now,
        )
        if not chosen:
            return 0
        return _Batch(self._store, self._judgements, by, {n: questions[n] for n in chosen}).run()


def check_judge(config: Config) -> None:
    """Checks `[serve.judge]`, where it names a judge.

    Raises:
        ConfigError: There is no such model, it has a budget and no known price, or no text is kept
            that it could judge.
    """
    judge, texts = config.serve.judge, config.serve.log.texts
    if judge.model is None:
        return
    (model,) = choose("model", config.models, [judge.model])
    if judge.usd_per_day is not None and not call_price(config, model).known:
        msg = (
            f"a budget needs the price of the judge, and that of {model.name!r} is unknown: set "
            "its input_price and output_price, or judge without a budget"
        )
        raise ConfigError(msg, field="serve.judge.usd_per_day")
    if texts != "full":
        msg = (
            f"there is nothing to judge where no text is kept (texts = {texts!r}): keep texts, or "
            "set no judge"
        )
        raise ConfigError(msg, field="serve.judge.model")


def _most_usd(question: Question) -> float:
    """The most that a call can cost: a token is a byte at least; 0 where prices are unknown."""
    request = question.request
    size = sum(len(str(message["content"]).encode()) for message in request.messages)
    limit = max(int(request.params.get(name) or 0) for name in _LIMITS)
    return question.price.usd(size + _TOKENS_OF_THE_FORM, limit) or 0.0


class _Batch:
    """Calls of one step.

    Args:
        store: Gets the scores.
        judgements: Has the calls reserved.
        by: Who is asked; its client is closed at the end.
        questions: Number of the query to what is asked.
    """

    def __init__(
        self, store: Store, judgements: Judgements, by: Judge, questions: Mapping[int, Question]
    ) -> None:
        self._store, self._judgements, self._by = store, judgements, by
        self._questions = questions
        self._numbers = {id(question): number for number, question in questions.items()}
        self._ended: set[int] = set()

    def run(self) -> int:
        try:
            stopped = asyncio.run(self._run())
        except CallError:
            self._judgements.release(self._questions)
            raise
        # Whatever else ends it leaves in doubt what was paid.
        self._judgements.release(self._questions.keys() - self._ended)
        for reason in stopped:
            _log.warning("judging stopped: %s", reason)
        return len(self._ended)

    async def _run(self) -> tuple[str, ...]:
        client = StructuredClient(self._by.client)
        questions = list(self._questions.values())
        try:
            return (await run_calls(questions, {self._by.endpoint: client}, self._take)).stopped
        finally:
            await client.close()

    def _take(self, answers: list[Answer[Question]]) -> None:
        usd: dict[int, float] = {}
        scores = []
        for answer in answers:
            number = self._numbers[id(answer.call)]
            if answer.cost_usd is not None:
                usd[number] = answer.cost_usd
            if answer.error is not None:
                _log.warning("a judge's call failed: %s", answer.error)
                if answer.error.status is not None and answer.cost_usd is None:
                    # An endpoint that refuses is not paid, and may answer another time.
                    if answer.error.retryable:
                        continue
                    usd[number] = 0.0
            elif answer.reply is not None:
                score = answer.call.score(answer.reply.text)
                if score is None:
                    _log.warning("a judge's reply cannot be read: %.160r", answer.reply.text)
                else:
                    scores.append((answer.call.key, score))
            self._ended.add(number)
        self._store.write_scores(gathered(scores))
        self._judgements.settle(usd)
