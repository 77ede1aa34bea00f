"""A plan in words: whom it asks, how often, and whose answers it gives."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.plans import Replayed

__all__ = ["plan_words"]

_MOST_GIVEN = 3


def plan_words(arms: Sequence[str], done: Replayed) -> list[str]:
    """Sentences about what a plan did, from the arms that it asks always to those it asks rarely.

    Args:
        arms: Names of the plan's arms.
        done: What it did on n queries.
    """
    shares = done.called.mean(axis=0)
    order = sorted((i for i in range(len(arms)) if shares[i] > 0), key=lambda i: -shares[i])
    told: list[str] = []
    for share, members in groupby(order, key=lambda i: shares[i]):
        names = _listed([arms[i] for i in members])
        often = "on every query" if share == 1 else f"on {_percent(share)} of the queries"
        told.append(f"Asks {names} {often}.")
    given = np.bincount(done.answered, minlength=len(arms)) / len(done.answered)
    most = sorted((i for i in range(len(arms)) if given[i] > 0), key=lambda i: -given[i])
    parts = [f"{arms[i]} ({_percent(given[i])})" for i in most[:_MOST_GIVEN]]
    rest = sum(given[i] for i in most[_MOST_GIVEN:])
    parts += [f"others ({_percent(rest)})"] if rest else []
    told.append(f"Calls {done.called.sum(axis=1).mean():.1f} arms a query.")
    told.append(f"Answers in the words of {_listed(parts)}.")
    return told


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _percent(share: float) -> str:
    return "under 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
