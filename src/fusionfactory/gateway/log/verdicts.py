"""What users said of answers, as scores of the outcomes that gave them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fusionfactory.errors import TaskError
from fusionfactory.gateway.log.redaction import HASHED
from fusionfactory.scorers import make_scorer
from fusionfactory.store.schema import feedback, outcomes, queries, requests, scores
from fusionfactory.types import Query, Score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusionfactory.scorers import Scorer

__all__ = ["FEEDBACK", "apply_feedback"]

FEEDBACK = "feedback"
"""The scorer of a `performance` that a user gave."""

_METRIC = "contains"
_SOME = 500


def apply_feedback(connection: sa.Connection, *, keeps_texts: bool) -> None:
    """Applies the feedback that is not yet applied, where its request is in the store.

    A score is the `performance` of the answer, by the scorer `feedback`. A target becomes that of
    the query, with the metric `contains` where the query has none, and the answer is scored by it
    as `fusionfactory score` would. What was said last counts. What is said of a request without an
    answer is only kept.

    Args:
        connection: In a writing transaction.
        keeps_texts: Whether prompts and answers are in the store, and not their hashes alone.
    """
    # Two short queries: one join would walk every request where statistics are missing.
    select = sa.select(feedback).where(feedback.c.applied == 0).order_by(feedback.c.no)
    waiting = connection.execute(select).mappings().all()
    for start in range(0, len(waiting), _SOME):
        page = waiting[start : start + _SOME]
        answers = _answers(connection, {row["id"] for row in page})
        known = [row for row in page if row["id"] in answers]
        numbers = [row["no"] for row in known]
        outdated = {kind: _outdated(connection, numbers, kind) for kind in ("score", "target")}
        for row in known:
            said = {
                kind: None if row["no"] in numbers_of else row[kind]
                for kind, numbers_of in outdated.items()
            }
            _apply(connection, said, answers[row["id"]], keeps_texts=keeps_texts)
        if numbers:
            done = feedback.update().where(feedback.c.no.in_(numbers)).values(applied=1)
            connection.execute(done)


def _answers(connection: sa.Connection, ids: set[str]) -> dict[str, sa.RowMapping]:
    answered = (outcomes.c.query_no == requests.c.query_no) & (
        outcomes.c.arm_no == requests.c.arm_no
    )
    whole = answered & (outcomes.c.sample == 0) & outcomes.c.error.is_(None)
    select = (
        sa.select(queries, outcomes.c.arm_no, outcomes.c.response)
        .select_from(queries.join(requests, requests.c.query_no == queries.c.no))
        .outerjoin(outcomes, whole)
        .where(queries.c.id.in_(ids))
    )
    return {row["id"]: row for row in connection.execute(select).mappings()}


def _outdated(connection: sa.Connection, numbers: list[int], kind: str) -> set[int]:
    """Those that something newer was said after: a worker's journal may bring them late."""
    later = feedback.alias("later")
    newer = sa.and_(
        later.c.id == feedback.c.id, later.c.at > feedback.c.at, later.c[kind].is_not(None)
    )
    select = sa.select(feedback.c.no).where(feedback.c.no.in_(numbers), sa.exists().where(newer))
    return set(connection.execute(select).scalars())


def _apply(
    connection: sa.Connection, said: Mapping[str, Any], answer: sa.RowMapping, *, keeps_texts: bool
) -> None:
    target = said["target"]
    given: list[Score] = []
    if target and keeps_texts and not target.startswith(HASHED):
        metric = answer["metric"] or _METRIC
        known = {"target": target, "metric": metric}
        connection.execute(queries.update().where(queries.c.no == answer["no"]).values(known))
        if answer["response"] is not None:
            given += _scored(answer, target, metric)
    if said["score"] is not None:
        given.append(Score("performance", said["score"], FEEDBACK))
    if answer["arm_no"] is not None:
        for score in given:
            _put(connection, answer, score)


def _scored(answer: sa.RowMapping, target: str, metric: str) -> list[Score]:
    query = Query(answer["id"], answer["text"], target=target, metric=metric)
    try:
        return [_scorer(metric).score(query, answer["response"])]
    except TaskError:  # nothing can be compared with such a target, an empty one for instance
        return []


@cache
def _scorer(metric: str) -> Scorer:
    return make_scorer(metric)


def _put(connection: sa.Connection, answer: sa.RowMapping, score: Score) -> None:
    key = {"query_no": answer["no"], "arm_no": answer["arm_no"], "sample": 0}
    where = sa.and_(*(outcomes.c[name] == value for name, value in key.items()))
    connection.execute(outcomes.update().where(where).values(performance=score.value))
    row: dict[str, Any] = {
        **key,
        "name": score.name,
        "scorer": score.scorer or "",
        "version": score.version or "",
    }
    same = sa.and_(*(scores.c[name] == value for name, value in row.items()))
    connection.execute(scores.delete().where(same))
    row |= {"value": score.value, "reason": score.reason}
    connection.execute(scores.insert().values(row))
