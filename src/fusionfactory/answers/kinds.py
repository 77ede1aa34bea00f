"""Equivalences by metric: each reads an answer as the scorer of the same name does."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from fusionfactory.registry import Registry
from fusionfactory.scorers import ALIASES

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.answers.base import Equivalence

__all__ = ["EQUIVALENCES", "make_equivalence"]

_PACKAGE = "fusionfactory.answers"
EQUIVALENCES = Registry(
    "equivalence",
    {
        "multiple_choice": f"{_PACKAGE}.letters:Letters",
        "number": f"{_PACKAGE}.numbers:Numbers",
        "math": f"{_PACKAGE}.expressions:Expressions",
        "code": f"{_PACKAGE}.programs:Programs",
        "exact_match": f"{_PACKAGE}.literals:Literals",
        "contains": f"{_PACKAGE}.phrases:Phrases",
        "token_f1": f"{_PACKAGE}.phrases:Phrases",
    },
)


@cache
def make_equivalence(metric: str) -> Equivalence:
    """The equivalence of a metric, by its name here or in FusionBench's files.

    Raises:
        UnknownNameError: There is none of that name.
    """
    make: Callable[[], Equivalence] = EQUIVALENCES.load(ALIASES.get(metric, metric))
    return make()
