"""A judge's candidates: which arms they are, and what they answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.answers.base import Answer, ByKey
from fusionfactory.answers.groups import group_responses
from fusionfactory.answers.kinds import make_equivalence
from fusionfactory.errors import ConfigError, TableError, UnknownNameError
from fusionfactory.missing import complete
from fusionfactory.types import JUDGE_ONLY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.answers import Equivalence
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import IntArray

__all__ = [
    "SameText",
    "candidate_names",
    "choose_candidates",
    "equivalence_of",
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
    """Names of a judge's candidates: as they are given, or those chosen with the cheap ones first.

    Another order shows them to the judge in another order: it asks for other verdicts.

    Args:
        table: The training queries.
        judge: Name of the judge.
        given: Names that were asked for; chosen by `choose_candidates` otherwise.
        most: How many are chosen at most.

    Raises:
        ConfigError: No judge is named, or it is a candidate, or there are no two candidates, or
            `most` asks for fewer.
        TableError: An arm is not in the table.
    """
    if not judge:
        msg = "no judge is named: set `judge` to the arm that picks"
        raise ConfigError(msg, field="select:judge")
    if isinstance(given, str):
        msg = f'{given!r} is no list of arms, such as ["{given}","another"]'
        raise ConfigError(msg, field="select:candidates")
    if most < 2:
        msg = f"expected at least 2, for a judge picks among several, got {most}"
        raise ConfigError(msg, field="select:most")
    names = list(given or ())
    if not names:
        cost = np.nan_to_num(table.arm_cost_usd(), nan=np.inf)
        others = table.select_arms([name for name in table.arm_names if name != judge])
        places = sorted(
            (cost[table.arm_names.index(n)], n) for n in choose_candidates(others, most)
        )
        names = [name for _, name in places]
    table.select_arms(names)
    if judge in names or len(set(names)) < max(len(names), 2):
        msg = f"expected different arms, two or more, none of them the judge, got {names}"
        raise ConfigError(msg, field="select:candidates")
    return names
