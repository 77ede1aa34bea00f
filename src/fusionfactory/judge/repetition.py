"""Repeated grades: the same outcomes once more, beside the grades in force."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from fusionfactory.calls import run_calls
from fusionfactory.judge.asking import ask, chosen_queries
from fusionfactory.judge.grade import GRADE, grade_question
from fusionfactory.judge.rubric import version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fusionfactory.calls import Progress, Runner
    from fusionfactory.judge.asking import Judge, JudgeSummary
    from fusionfactory.store import Store

__all__ = ["RETEST", "retest"]

RETEST = "llm_judge_retest"
"""Name of a repeated grade: never in force, never in a table."""


def retest(
    store: Store,
    by: Judge,
    *,
    sample: int = 100,
    seed: int = 0,
    tasks: Sequence[str] = (),
    arms: Sequence[str] = (),
    budget_usd: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    run: Runner = run_calls,
) -> JudgeSummary:
    """Grades a sample of this judge's graded outcomes once more, beside the grade in force.

    The seed decides the sample, so that a run which was interrupted goes on with the same one.

    Args:
        store: Holds the grades, gets `llm_judge_retest` scores.
        by: Who judges; its grades under this version of the prompt are repeated.
        sample: How many.
        seed: Of the sample.
        tasks: Only these; empty for all.
        arms: Only these; empty for all.
        budget_usd: Of this run.
        progress: Told after every write.
        run: Makes the calls: in this process, or on a Ray cluster.

    Raises:
        ConfigError, CallError, StoreError: As `judge`.
    """
    queries = chosen_queries(store, tasks, arms)
    versions = {version(with_target=shown): shown for shown in (True, False)}
    drawn = []
    for outcome in store.outcomes():
        query = queries.get(outcome.query_id)
        if query is None or not outcome.response or (arms and outcome.arm not in arms):
            continue
        repeated = {(s.scorer, s.version) for s in outcome.scores if s.name == RETEST}
        for score in outcome.scores:
            shown = versions.get(score.version or "")
            if score.name == GRADE and score.scorer == by.name and shown is not None:
                question = grade_question(by, query, outcome, with_target=shown, score_name=RETEST)
                there = (score.scorer, score.version) in repeated
                drawn.append((_lot(seed, question.key, score.version), there, question))
    drawn.sort(key=lambda item: item[0])
    missing = [question for _, there, question in drawn[:sample] if not there]
    return ask(store, by, missing, budget_usd=budget_usd, progress=progress, run=run)


def _lot(seed: int, *parts: object) -> bytes:
    """The place of an outcome in a sample; the same on every machine."""
    return hashlib.sha256(repr((seed, *parts)).encode("utf-8", "surrogatepass")).digest()
