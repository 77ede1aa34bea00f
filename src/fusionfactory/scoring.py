"""Scores for the outcomes of a store: each response against its query's target, once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from fusionfactory.scorers import Scorer, make_scorer
from fusionfactory.types import JUDGE_ONLY, Outcome, Query, Score

if TYPE_CHECKING:
    from collections.abc import Generator

    from fusionfactory.store import Store

__all__ = ["Answers", "Marked", "Marking", "Scored", "score_outcomes"]

_BATCH = 256
_METRIC = "performance"

Answers: TypeAlias = Iterator[tuple[Scorer, Query, Outcome]]
"""What is to be scored, and by whom."""

Marked: TypeAlias = list[tuple[tuple[str, str, int], Score]]
"""Keys of outcomes (query id, arm name, sample) and their scores."""

Marking: TypeAlias = "Callable[[Answers], Generator[Marked]]"
"""Scores answers, in any order, and gives what it has done from time to time."""


@dataclass
class Scored:
    """What became of a store's outcomes.

    Attributes:
        scored: Scored now.
        kept: Had a score by the scorer's version, or by whoever made the log.
        failed: Failed calls, which have no score.
        judge_only: Of tasks without a target, which only a judge can score.
        no_metric: Of queries that name no metric.
    """

    scored: int = 0
    kept: int = 0
    failed: int = 0
    judge_only: int = 0
    no_metric: int = 0


def score_outcomes(
    store: Store,
    *,
    again: bool = False,
    tasks: Collection[str] | None = None,
    workers: int = 2,
    mark: Marking | None = None,
    progress: Callable[[Scored], None] | None = None,
) -> Scored:
    """Scores every outcome that has no score yet, or one by another scorer or version of it.

    Scores of imported logs, which name no scorer, are kept unless `again`. Written in batches: a
    run that was interrupted goes on where it stopped. Outcomes of queries that are added meanwhile
    are left for the next run.

    Args:
        store: Whose outcomes.
        again: Score all anew.
        tasks: Only the outcomes of these tasks.
        workers: Threads; code runs in as many sandboxes at a time.
        mark: Scores the answers instead of these threads, such as on a cluster.
        progress: Told after every batch.

    Raises:
        TaskError: A query's target cannot be used by its scorer.
        SandboxError: There is code to run and no way to isolate it.
        UnknownNameError: A query names an unknown metric.
        StoreError: The store cannot be written.
    """
    state = Scored()
    queries = {query.id: query for query in store.queries()}
    wanted = _wanted(store, queries, state, tasks=tasks, again=again)
    with closing((mark or partial(_in_threads, workers=workers))(wanted)) as batches:
        for batch in batches:
            state.scored += store.write_scores([(key, [score]) for key, score in batch])
            if progress is not None:
                progress(state)
    return state


def _in_threads(answers: Answers, workers: int) -> Generator[Marked]:
    with ThreadPoolExecutor(workers, thread_name_prefix="score") as pool:
        while batch := list(islice(answers, _BATCH)):
            given = pool.map(lambda item: item[0].score(item[1], item[2].response or ""), batch)
            keys = [(o.query_id, o.arm, o.sample) for _, _, o in batch]
            yield list(zip(keys, given, strict=True))


def _wanted(
    store: Store,
    queries: dict[str, Query],
    state: Scored,
    *,
    tasks: Collection[str] | None,
    again: bool,
) -> Answers:
    scorers: dict[str, Scorer] = {}
    for outcome in store.outcomes():
        query = queries.get(outcome.query_id)
        if query is None or (tasks is not None and query.task not in tasks):
            continue
        metric = query.metric
        if outcome.error is not None:
            state.failed += 1
        elif metric is None:
            state.no_metric += 1
        elif metric == JUDGE_ONLY:
            state.judge_only += 1
        else:
            if metric not in scorers:
                scorers[metric] = make_scorer(metric)
            scorer = scorers[metric]
            if not again and _is_scored(outcome, scorer):
                state.kept += 1
            else:
                yield scorer, query, outcome


def _is_scored(outcome: Outcome, scorer: Scorer) -> bool:
    """Whether the score in force is this scorer's, or that of whoever made the log."""
    given = [score for score in outcome.scores if score.name == _METRIC]
    in_force = [score for score in given if score.value == given[-1].value]
    mine = (scorer.name, scorer.version)
    return any(s.scorer is None or (s.scorer, s.version) == mine for s in in_force)
