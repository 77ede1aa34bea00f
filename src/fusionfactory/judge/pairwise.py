"""Comparisons of two answers to one query, each asked twice with the positions swapped.

The verdict of a call is a score of the outcome that it showed first: `judge_pair:<other arm>`, 1
where the first won, 0 where the second did, .5 for a tie. So the two calls of a pair are told apart
and resumed one by one, and a verdict that only follows the position shows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

from fusionfactory.calls import run_calls
from fusionfactory.errors import ConfigError
from fusionfactory.judge.asking import Question, ask, chosen_queries, gathered
from fusionfactory.judge.duel import PAIR_SCHEMA, pair_messages, pair_version, parse_preference
from fusionfactory.types import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fusionfactory.calls import Progress, Runner
    from fusionfactory.judge.asking import Judge, JudgeSummary, Key
    from fusionfactory.store import Store
    from fusionfactory.types import Outcome, Query

__all__ = ["PAIR_PREFIX", "by_query", "compare"]

PAIR_PREFIX = "judge_pair:"
"""Of the score's name; the name of the arm shown second follows."""


def compare(
    store: Store,
    by: Judge,
    *,
    arms: Sequence[str] = (),
    pairs_per_query: int = 1,
    with_target: bool | None = None,
    again: bool = False,
    tasks: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    budget_usd: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    run: Runner = run_calls,
) -> JudgeSummary:
    """Compares answers pair by pair, both ways round; what the store holds is not asked again.

    Equal responses are a tie without a call.

    Args:
        store: Holds the outcomes and gets the verdicts.
        by: Who judges.
        arms: Only pairs of these; empty for all. Two arms are compared wherever both answered.
        pairs_per_query: How many pairs are drawn of each query (and sample).
        with_target: As `judge`.
        again: Ask for verdicts that are there, too.
        tasks: Only these; empty for all.
        limit: Ask for so many pairs at most.
        seed: Of the pairs drawn.
        budget_usd: Of this run.
        progress: Told after every write.
        run: Makes the calls: in this process, or on a Ray cluster.

    Raises:
        ConfigError: A task or an arm is not in the store, only one arm is named, or a budget is
            given without a price.
        CallError: The endpoint refused: wrong key or unknown model.
        StoreError: The store cannot be read or written.
    """
    if len(set(arms)) == 1:
        msg = f"an arm cannot be compared with itself: only {arms[0]!r} is named"
        raise ConfigError(msg, field="arm")
    queries = chosen_queries(store, tasks, arms)
    plan = _Plan(by, pairs_per_query, with_target, seed, again=again)
    for outcomes in by_query(store):
        query = queries.get(outcomes[0].query_id)
        if query is not None:
            plan.add(query, [o for o in outcomes if not arms or o.arm in arms])
    pairs = [pair for name in queries for pair in plan.waiting.get(name, ())][:limit]
    store.write_scores(gathered(plan.ties))
    questions = [question for pair in pairs for question in pair]
    done = ask(store, by, questions, budget_usd=budget_usd, progress=progress, run=run)
    return replace(
        done,
        held=plan.held,
        identical=(len(plan.ties) + 1) // 2,
        no_target=plan.no_target,
        no_response=plan.no_response,
    )


def by_query(store: Store) -> Iterator[list[Outcome]]:
    """The outcomes of one query and sample at a time, failed ones left out."""
    name: str | None = None
    samples: dict[int, list[Outcome]] = {}
    for outcome in store.outcomes():
        if outcome.query_id != name:
            yield from samples.values()
            name, samples = outcome.query_id, {}
        if outcome.error is None:
            samples.setdefault(outcome.sample, []).append(outcome)
    yield from samples.values()


class _Plan:
    """Collects what to ask, query by query."""

    def __init__(
        self, by: Judge, pairs_per_query: int, with_target: bool | None, seed: int, *, again: bool
    ) -> None:
        self._by, self._pairs_per_query, self._seed = by, pairs_per_query, seed
        self._with_target, self._again = with_target, again
        self.waiting: dict[str, list[list[Question]]] = {}
        self.ties: list[tuple[Key, Score]] = []
        self.held = self.no_target = self.no_response = 0

    def add(self, query: Query, outcomes: list[Outcome]) -> None:
        """Draws pairs of the outcomes of one query and sample."""
        shown = query.target is not None if self._with_target is None else self._with_target
        if shown and query.target is None:
            self.no_target += len(outcomes)
            return
        answered = [outcome for outcome in outcomes if (outcome.response or "").strip()]
        self.no_response += len(outcomes) - len(answered)
        pairs = sorted(combinations(answered, 2), key=self._lot)[: self._pairs_per_query]
        version = pair_version(with_target=shown)
        for one, other in pairs:
            asked = [
                self._question(query, first, second, with_target=shown)
                for first, second in ((one, other), (other, one))
                if not self._holds(first, second, version)
            ]
            if one.response == other.response:
                self._tie(asked)
            elif asked:
                self.waiting.setdefault(query.id, []).append(asked)

    def _lot(self, pair: tuple[Outcome, Outcome]) -> bytes:
        text = repr((self._seed, pair[0].query_id, pair[0].sample, *(o.arm for o in pair)))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    def _holds(self, first: Outcome, second: Outcome, version: str) -> bool:
        wanted = (PAIR_PREFIX + second.arm, self._by.name, version)
        held = any((s.name, s.scorer, s.version) == wanted for s in first.scores)
        self.held += held
        return held and not self._again

    def _question(
        self, query: Query, first: Outcome, second: Outcome, *, with_target: bool
    ) -> Question:
        texts = (first.response or "", second.response or "")
        name, version = PAIR_PREFIX + second.arm, pair_version(with_target=with_target)
        return Question(
            by=self._by,
            messages=partial(pair_messages, query, *texts, with_target=with_target),
            schema=PAIR_SCHEMA,
            key=(query.id, first.arm, first.sample),
            score=partial(_score, name, self._by.name, version),
        )

    def _tie(self, asked: list[Question]) -> None:
        reply = json.dumps({"better": "tie", "reason": "the responses are equal"})
        scores = [(question.key, question.score(reply)) for question in asked]
        self.ties += [(key, score) for key, score in scores if score is not None]


def _score(name: str, judge_name: str, prompt_version: str, reply: str) -> Score | None:
    found = parse_preference(reply)
    if found is None:
        return None
    return Score(name, found.value, judge_name, prompt_version, found.reason)
