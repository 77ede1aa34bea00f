"""The scorers' contract: a query and a response in, a `Score` named `performance` out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from fusionfactory.types import Score

if TYPE_CHECKING:
    from fusionfactory.types import Query

__all__ = ["Scorer", "gold_answers", "verdict"]


class Scorer(Protocol):
    """Scores one response. Deterministic; holds no state between calls.

    Attributes:
        name: As in the registry.
        version: Changed whenever any response could score differently.
    """

    name: str
    version: str

    def score(self, query: Query, response: str) -> Score:
        """The score of a response, with a reason where it is below 1.

        Raises:
            TaskError: The query's target cannot be used by this scorer.
        """
        ...


def verdict(scorer: Scorer, value: float | bool, reason: str | None = None) -> Score:
    """A `performance` score that names its scorer and version."""
    return Score("performance", float(value), scorer.name, scorer.version, reason)


def gold_answers(target: str) -> list[str]:
    """The accepted answers: the items of a JSON list of texts, or the target itself."""
    if target.lstrip().startswith("["):
        try:
            items = json.loads(target)
        except json.JSONDecodeError:
            return [target]
        if isinstance(items, list) and items and all(isinstance(item, str) for item in items):
            return items
    return [target]
