"""Grades: one `llm_judge` score per outcome, resumable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from fusionfactory.calls import run_calls
from fusionfactory.judge.asking import Question, ask, chosen_queries
from fusionfactory.judge.parsing import parse_score
from fusionfactory.judge.rubric import SCHEMA, messages, version
from fusionfactory.types import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fusionfactory.calls import Progress, Runner
    from fusionfactory.judge.asking import Judge, JudgeSummary, Key
    from fusionfactory.store import Store
    from fusionfactory.types import Outcome, Query

__all__ = ["GRADE", "grade_question", "judge"]

GRADE = "llm_judge"
"""Name of the score; the last written of this name is in force in tables."""


def judge(
    store: Store,
    by: Judge,
    *,
    with_target: bool | None = None,
    again: bool = False,
    right_only: bool = False,
    tasks: Sequence[str] = (),
    arms: Sequence[str] = (),
    limit: int | None = None,
    budget_usd: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    run: Runner = run_calls,
) -> JudgeSummary:
    """Grades every outcome that this judge has not graded under this version of the prompt.

    A failed call or a reply that cannot be read leaves the score missing, and the next run asks
    again. Grades that the judge gave earlier and that another judge has replaced come in force
    again: after a run, the table holds this judge's grades wherever there are any.

    Args:
        store: Holds the outcomes and gets the scores.
        by: Who judges.
        with_target: True shows the target and leaves out queries without one; False never shows it;
            None shows it where there is one.
        again: Grade what is graded already, too.
        right_only: Grade only what the task's metric scores 1: the answers that thought templates
            and training data are chosen from.
        tasks: Only these; empty for all.
        arms: Only these; empty for all.
        limit: Ask for so many grades at most.
        budget_usd: Of this run. Earlier runs do not count, for a score does not keep its cost.
        progress: Told after every write.
        run: Makes the calls: in this process, or on a Ray cluster.

    Raises:
        ConfigError: A task or an arm is not in the store, or a budget is given without a price.
        CallError: The endpoint refused: wrong key or unknown model.
        StoreError: The store cannot be read or written.
    """
    queries = chosen_queries(store, tasks, arms)
    plan = _plan(store, by, queries, arms, with_target, again=again, right_only=right_only)
    restored = store.write_scores(plan.replaced)
    done = ask(store, by, plan.questions[:limit], budget_usd=budget_usd, progress=progress, run=run)
    return replace(
        done,
        held=plan.held,
        restored=restored,
        no_target=plan.no_target,
        no_response=plan.no_response,
    )


@dataclass
class _Plan:
    questions: list[Question]
    replaced: list[tuple[Key, list[Score]]]
    held: int = 0
    no_target: int = 0
    no_response: int = 0


def _plan(
    store: Store,
    by: Judge,
    queries: dict[str, Query],
    arms: Sequence[str],
    with_target: bool | None,
    *,
    again: bool,
    right_only: bool,
) -> _Plan:
    """What to ask, in the order of the queries, every arm of a query one after the other."""
    plan = _Plan([], [])
    waiting: dict[str, list[Question]] = {}
    for outcome in store.outcomes():
        query = queries.get(outcome.query_id)
        if query is None or outcome.error is not None or (arms and outcome.arm not in arms):
            continue
        if right_only and not _is_right(outcome):
            continue
        shown = query.target is not None if with_target is None else with_target
        if shown and query.target is None:
            plan.no_target += 1
            continue
        mine, in_force = _grades(outcome, by.name, version(with_target=shown))
        if mine is not None and not again:
            plan.held += 1
            if in_force is not None and in_force.value != mine.value:
                plan.replaced.append(((query.id, outcome.arm, outcome.sample), [mine]))
        elif not (outcome.response or "").strip():
            plan.no_response += 1
        else:
            question = grade_question(by, query, outcome, with_target=shown)
            waiting.setdefault(query.id, []).append(question)
    plan.questions = [question for name in queries for question in waiting.get(name, ())]
    return plan


def _is_right(outcome: Outcome) -> bool:
    scores = [score.value for score in outcome.scores if score.name == "performance"]
    return bool(scores) and scores[-1] == 1.0


def _grades(outcome: Outcome, name: str, version: str) -> tuple[Score | None, Score | None]:
    """This judge's grade and the one in force."""
    grades = [score for score in outcome.scores if score.name == GRADE]
    mine = [score for score in grades if (score.scorer, score.version) == (name, version)]
    return mine[-1] if mine else None, grades[-1] if grades else None


def grade_question(
    by: Judge, query: Query, outcome: Outcome, *, with_target: bool, score_name: str = GRADE
) -> Question:
    """The call that grades one outcome."""
    return Question(
        by=by,
        messages=partial(messages, query, outcome.response or "", with_target=with_target),
        schema=SCHEMA,
        key=(query.id, outcome.arm, outcome.sample),
        score=partial(_score, score_name, by.name, version(with_target=with_target)),
    )


def _score(score_name: str, judge_name: str, prompt_version: str, reply: str) -> Score | None:
    found = parse_score(reply)
    if found is None:
        return None
    return Score(score_name, found.value, judge_name, prompt_version, found.reason)
