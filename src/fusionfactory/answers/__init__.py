"""Which arms answered a query alike: answers read as the scorers do, and grouped."""

from __future__ import annotations

from fusionfactory.answers.base import Answer, Equivalence
from fusionfactory.answers.groups import AnswerGroups, group_answers, incomparable
from fusionfactory.answers.kinds import EQUIVALENCES, make_equivalence
from fusionfactory.answers.online import equivalent, key

__all__ = [
    "EQUIVALENCES",
    "Answer",
    "AnswerGroups",
    "Equivalence",
    "equivalent",
    "group_answers",
    "incomparable",
    "key",
    "make_equivalence",
]
