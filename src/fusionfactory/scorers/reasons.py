"""What the text scorers say and refuse alike: targets, empty responses, excerpts in reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.errors import TaskError
from fusionfactory.scorers.base import gold_answers

if TYPE_CHECKING:
    from fusionfactory.types import Query

__all__ = ["EMPTY", "excerpt", "targets"]

EMPTY = "empty response"
"""The reason of every scorer for a response without text."""

_SHOWN = 60


def excerpt(text: str) -> str:
    """A text on one line and in quotes, cut to 60 characters from its start."""
    line = " ".join(text[: 4 * _SHOWN].split())
    return repr(line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}...")


def targets(query: Query) -> list[str]:
    """The accepted answers of a query.

    Raises:
        TaskError: The query has no target or a blank one.
    """
    gold = [] if query.target is None else gold_answers(query.target)
    gold = [answer for answer in gold if answer.strip()]
    if not gold:
        msg = (
            f"query {query.id!r} has no target to score against (it is {query.target!r}): "
            "give it one, or leave it to an LLM judge"
        )
        raise TaskError(msg, field="target")
    return gold
