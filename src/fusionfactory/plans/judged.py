"""What a judge said, as one more column beside the candidates'."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.answers import AnswerGroups
from fusionfactory.answers.groups import group_responses
from fusionfactory.errors import UnknownNameError
from fusionfactory.plans.candidates import equivalence_of, texts
from fusionfactory.plans.verdicts import lineup_queries
from fusionfactory.scorers import make_scorer
from fusionfactory.table import CELLS
from fusionfactory.types import JUDGE_ONLY, Arm, Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.plans.lineup import Lineup
    from fusionfactory.plans.verdicts import Verdict
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = ["Judged", "read_judge", "surely_gains_below"]

_SURELY = 2.0
"""Standard errors by which asking the judge must gain on the training queries."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The candidates' outcomes with those of the judge in the last column.

    Attributes:
        table: n queries by the candidates and the judge, whose response is the one it picked or
            wrote, with that one's quality and the cost of the verdict.
        groups: (n, m) answer groups.
        absent: (n,) queries with a line-up whose verdict is not recorded.
    """

    table: OutcomeTable
    groups: IntArray
    absent: BoolArray

    @property
    def answers(self) -> AnswerGroups:
        """Of the table, for `Plan.hear`."""
        said = [text for row in texts(self.table) for text in row]
        return AnswerGroups.of(self.groups, said, self.table.logprob)

    @classmethod
    def of(
        cls,
        own: OutcomeTable,
        groups: IntArray,
        judge: str,
        lineups: Sequence[Lineup],
        verdicts: Mapping[str, Verdict],
    ) -> Judged:
        """Looks the verdicts on some line-ups up.

        Args:
            own: The candidates' outcomes.
            groups: (n, m - 1) of their answers.
            judge: Name of the judge's arm.
            lineups: What it was asked; it says nothing about the other queries.
            verdicts: Of `read_verdicts`.
        """
        n = len(own)
        column: dict[str, Any] = {
            name: np.hstack([getattr(own, name), np.full((n, 1), np.nan)]) for name in CELLS
        }
        responses = [[*row, None] for row in texts(own)]
        wide = np.hstack([groups, np.full((n, 1), -1)])
        absent = np.zeros(n, bool)
        rows = own.queries.to_dicts()
        for lineup in lineups:
            row = lineup.row
            found = [verdicts.get(query.id) for query in lineup_queries(lineup)]
            given = [verdict for verdict in found if verdict is not None]
            absent[row] = len(given) < len(found)
            if absent[row]:
                continue
            costs = [np.nan if v.cost_usd is None else v.cost_usd for v in given]
            column["cost_usd"][row, -1] = sum(costs)
            text = lineup.heard([verdict.reply for verdict in given])
            if text is None:
                continue
            responses[row][-1] = text
            if text in responses[row][:-1]:
                place = responses[row].index(text)
                wide[row, -1] = wide[row, place]
                column["quality"][row, -1] = own.quality[row, place]
                column["judge"][row, -1] = own.judge[row, place]
            else:
                wide[row, -1] = _group(rows[row], wide[row, :-1], responses[row])
                column["quality"][row, -1] = _score(rows[row], text)
        array = np.empty((n, len(own.arms) + 1), dtype=np.object_)
        array[:] = responses
        arms = (*own.arms, Arm.parse(judge))
        return cls(replace(own, arms=arms, responses=array, **column), wide, absent)


def _group(query: Mapping[str, str | None], groups: IntArray, said: Sequence[str | None]) -> int:
    """The group of the last response, numbered as those of the others."""
    found = group_responses(equivalence_of(query["metric"]), query["query"] or "", said)
    if found[-1] < 0:
        return -1
    same = [int(group) for group, new in zip(groups, found, strict=False) if new == found[-1]]
    return next((group for group in same if group >= 0), int(groups.max()) + 1)


def _score(query: Mapping[str, str | None], text: str) -> float:
    """What a new answer is worth; NaN where its metric is none that can be computed."""
    metric, target = query["metric"], query["target"]
    if metric is None or metric == JUDGE_ONLY or target is None:
        return np.nan
    try:
        scorer = make_scorer(metric)
    except UnknownNameError:
        return np.nan
    asked = Query(query["query_id"] or "", query["query"] or "", target=target, metric=metric)
    return scorer.score(asked, text).value


def read_judge(reading: FloatArray, groups: IntArray) -> FloatArray:
    """(n, m) with the reading of the first candidate in the judge's group; 0 without one."""
    same = (groups[:, :-1] == groups[:, -1:]) & (groups[:, -1:] >= 0)
    picked = np.take_along_axis(reading, same.argmax(axis=1)[:, None], axis=1)
    return np.hstack([reading, np.where(same.any(axis=1, keepdims=True), picked, 0.0)])


def surely_gains_below(sure: FloatArray, change: FloatArray) -> float:
    """The confidence below which asking the judge gained most; 0 where that may be chance.

    Args:
        sure: (n,) confidence before it was asked.
        change: (n,) quality that its verdict added.
    """
    order = np.argsort(sure, kind="stable")
    gain, noise = np.cumsum(change[order]), np.sqrt(np.cumsum(change[order] ** 2))
    last = int(gain.argmax())
    worth = gain[last] > _SURELY * noise[last]
    return float(np.nextafter(sure[order[last]], 2.0)) if worth else 0.0
