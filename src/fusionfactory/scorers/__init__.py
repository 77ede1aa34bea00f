"""Scorers by metric name: what a response is worth against the query's target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.registry import Registry
from fusionfactory.scorers.base import Scorer, gold_answers, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ALIASES", "SCORERS", "Scorer", "gold_answers", "make_scorer", "verdict"]

_PACKAGE = "fusionfactory.scorers"
SCORERS = Registry(
    "scorer",
    {
        "exact_match": f"{_PACKAGE}.text:ExactMatch",
        "contains": f"{_PACKAGE}.text:Contains",
        "token_f1": f"{_PACKAGE}.text:TokenF1",
        "multiple_choice": f"{_PACKAGE}.choice:MultipleChoice",
        "number": f"{_PACKAGE}.number:Number",
        "math": f"{_PACKAGE}.math:Math",
        "code": f"{_PACKAGE}.code:Code",
    },
)
ALIASES = {
    "em": "exact_match",
    "em_mc": "multiple_choice",
    "cem": "contains",
    "f1": "token_f1",
    "f1_score": "token_f1",
    "GSM8K": "number",
    "MATH": "math",
    "code_eval": "code",
    "pass@1": "code",
}
"""The metrics' names in FusionBench's files."""


def make_scorer(metric: str) -> Scorer:
    """The scorer of a metric, by its name here or in FusionBench's files.

    Raises:
        UnknownNameError: There is none of that name.
        MissingExtraError: It needs a package that is not installed.
    """
    make: Callable[[], Scorer] = SCORERS.load(ALIASES.get(metric, metric))
    return make()
