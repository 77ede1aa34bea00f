"""A judge's candidates: which arms they are, what they answered, and a column for the judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.answers.base import Answer, ByKey
from fusionfactory.answers.groups import group_responses
from fusionfactory.answers.kinds import make_equivalence
from fusionfactory.errors import ConfigError, TableError, UnknownNameError
from fusionfactory.missing import complete
from fusionfactory.plans.verdicts import prompt_query
from fusionfactory.scorers import make_scorer
from fusionfactory.table import CELLS
from fusionfactory.types import JUDGE_ONLY, Arm, Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fusionfactory.answers import Equivalence
    from fusionfactory.plans.lineup import Lineup
    from fusionfactory.plans.verdicts import Verdict
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray, FloatArray, IntArray

__all__ = [
    "Judged",
    "SameText",
    "candidate_names",
    "choose_candidates",
    "equivalence_of",
    "read_judge",
    "texts",
    "with_free_text",
]

_LEAST_GAIN = 5e-3


class SameText(ByKey):
    """Free text: two answers are one where they are the same but for white space."""

    name = "same_text"

    def read(self, question: str, response: str) -> Answer | None:
        """The whole response; None where it is empty."""
        key = " ".join(response.split())
        return Answer(key, response) if key else None


def equivalence_of(metric: str | None) -> Equivalence:
    """The equivalence of a metric; `SameText` where it has none."""
    if metric is None or metric == JUDGE_ONLY:
        return SameText()
    try:
        return make_equivalence(metric)
    except UnknownNameError:
        return SameText()


def with_free_text(table: OutcomeTable, groups: IntArray) -> IntArray:
    """(n, m) answer groups in which free text, which is in none, is grouped by `SameText`.

    Args:
        table: With responses.
        groups: (n, m) of its answers.
    """
    found = groups.copy()
    metrics = table.queries["metric"].to_list()
    for row, (metric, said) in enumerate(zip(metrics, texts(table), strict=True)):
        equivalence = equivalence_of(metric)
        if isinstance(equivalence, SameText):
            found[row] = group_responses(equivalence, "", said)
    return found


def texts(table: OutcomeTable) -> list[list[str | None]]:
    """The responses, query by query.

    Raises:
        TableError: The table holds none.
    """
    if table.responses is None:
        msg = "the table holds no responses, and a judge has to read them: collect with responses"
        raise TableError(msg, field="response")
    return [list(row) for row in table.responses]


def choose_candidates(table: OutcomeTable, most: int) -> list[str]:
    """Names of the arms among whose answers a judge best picks, at least two.

    Greedy, from the best single arm on. A set is worth what a judge reaches who knows the best
    answer half of the time and guesses otherwise: the mean of its best and of its average.
    """
    quality = np.nan_to_num(complete(table.quality))
    chosen = [table.best_single()]
    worth = float(quality[:, chosen].mean())
    while len(chosen) < min(most, len(table.arms)):
        others = [arm for arm in range(len(table.arms)) if arm not in chosen]
        sets = [quality[:, [*chosen, arm]] for arm in others]
        trials = [float(part.max(axis=1).mean() + part.mean()) / 2 for part in sets]
        if len(chosen) > 1 and max(trials) <= worth + _LEAST_GAIN:
            break
        worth = max(trials)
        chosen.append(others[int(np.argmax(trials))])
    return [table.arm_names[arm] for arm in chosen]


def candidate_names(
    table: OutcomeTable, judge: str | None, given: Sequence[str] | None, most: int
) -> list[str]:
    """Names of a judge's candidates, cheap ones first.

    Args:
        table: The training queries.
        judge: Name of the judge.
        given: Names that were asked for; chosen by `choose_candidates` otherwise.
        most: How many are chosen at most.

    Raises:
        ConfigError: No judge is named, or it is a candidate, or there are no two candidates.
        TableError: An arm is not in the table.
    """
    if not judge:
        msg = "no judge is named: set `judge` to the arm that picks"
        raise ConfigError(msg, field="select:judge")
    cost = np.nan_to_num(table.arm_cost_usd(), nan=np.inf)
    others = [name for name in table.arm_names if name != judge]
    names = list(given or choose_candidates(table.select_arms(others), most))
    table.select_arms(names)
    if judge in names or len(set(names)) < max(len(names), 2):
        msg = f"expected different arms, two or more, none of them the judge, got {names}"
        raise ConfigError(msg, field="select:candidates")
    return sorted(names, key=lambda name: (cost[table.arm_names.index(name)], name))


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
            found = [verdicts.get(prompt_query(prompt).id) for prompt in lineup.prompts()]
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
