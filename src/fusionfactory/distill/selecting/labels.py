"""The target as an answer: the plainest form of it that the task's own scorer takes for right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.errors import TaskError
from fusionfactory.scorers import ALIASES, SCORERS, gold_answers, make_scorer
from fusionfactory.scorers.polarity import side
from fusionfactory.types import JUDGE_ONLY

if TYPE_CHECKING:
    from fusionfactory.types import Query

__all__ = ["label_text"]

_LETTERS = "ABCDEFGHIJ"
_RIGHT = 1.0


def label_text(query: Query, instruction: str = "") -> str | None:
    """What a student should answer so that it is right; None where no form of the target is.

    Forms are tried in this order: as the instruction asks for it, a letter in parentheses, a
    mathematical expression in `boxed`, yes and no where these words are asked for; then each
    accepted answer as it stands. The target of a programming task is its tests, which are no
    answer, and a free-text task has none; nor is there one where no scorer can tell.

    Args:
        query: With its target and metric.
        instruction: What the task says about the form.
    """
    if query.target is None or query.metric is None or query.metric == JUDGE_ONLY:
        return None
    metric = ALIASES.get(query.metric, query.metric)
    if metric == "code" or metric not in SCORERS.names():
        return None
    scorer = make_scorer(metric)
    try:
        return next(
            (
                form
                for form in _forms(query.target, metric, instruction)
                if form.strip() and scorer.score(query, form).value >= _RIGHT
            ),
            None,
        )
    except TaskError:
        return None


def _forms(target: str, metric: str, instruction: str) -> list[str]:
    gold = [answer.strip() for answer in gold_answers(target)]
    forms = []
    for answer in gold:
        if metric == "multiple_choice" and answer.strip("()[]{}. ").upper() in set(_LETTERS):
            forms.append(f"({answer.strip('()[]{}. ').upper()})")
        elif metric == "math" and r"\boxed" in instruction:
            forms.append(rf"\boxed{{{answer}}}")
        elif "####" in answer:
            forms.append(answer.rpartition("####")[2].strip())
        took = side(answer)
        if took and "yes or no" in instruction:
            forms.append(took)
    return [*forms, *gold]
