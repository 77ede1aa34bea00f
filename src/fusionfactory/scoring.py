"""Scores for the outcomes of a store: each response against its query's target, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from fusionfactory.scorers import Scorer, make_scorer
from fusionfactory.types import JUDGE_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from fusionfactory.store import Store
    from fusionfactory.types import Outcome, Query, Score

__all__ = ["Scored", "score_outcomes"]

_BATCH = 256
_METRIC = "performance"


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
    with ThreadPoolExecutor(workers, thread_name_prefix="score") as pool:
        while batch := list(islice(wanted, _BATCH)):
            given = pool.map(lambda item: item[0].score(item[1], item[2].response or ""), batch)
            keys = [(o.query_id, o.arm, o.sample) for _, _, o in batch]
            rows: list[tuple[tuple[str, str, int], list[Score]]] = [
                (key, [score]) for key, score in zip(keys, given, strict=True)
            ]
            state.scored += store.write_scores(rows)
            if progress is not None:
                progress(state)
    return state


def _wanted(
    store: Store,
    queries: dict[str, Query],
    state: Scored,
    *,
    tasks: Collection[str] | None,
    again: bool,
) -> Iterator[tuple[Scorer, Query, Outcome]]:
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
