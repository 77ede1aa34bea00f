"""What two routers say of logged decisions, in the columns of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fusionfactory.normal_text import text_digests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.gateway.log.logged import Logged
    from fusionfactory.policy import Policy
    from fusionfactory.routers import Router
    from fusionfactory.types import BoolArray, Estimates, FloatArray, IntArray

__all__ = ["Rated", "aligned", "choices", "unseen"]


class Rated(NamedTuple):
    """A router to compare, and the Unix seconds up to which it may have learned from the log."""

    router: Router
    fitted_at: float = np.inf


def unseen(logged: Logged, rated: Rated) -> BoolArray:
    """(n,) which decisions a router cannot have learned from.

    Those whose text it was not fitted on, and those that came after it was fitted.
    """
    fresh = ~np.isin(text_digests(logged.text), rated.router.seen_)
    return np.asarray(fresh | (logged.at > rated.fitted_at))


def choices(router: Router, estimates: Estimates, policy: Policy, names: Sequence[str]) -> IntArray:
    """(n,) the arms that a router chooses, as columns of `names`."""
    columns = np.array([names.index(arm) for arm in estimates.arms])
    return np.asarray(columns[router.choose(estimates, policy)])


def aligned(
    first: FloatArray,
    first_arms: Sequence[str],
    second: FloatArray,
    second_arms: Sequence[str],
    names: Sequence[str],
) -> FloatArray:
    """(n, len(names)) the first's values; the second's where it has none, or else 0."""
    found = np.full((len(first), len(names)), np.nan)
    for values, arms in ((second, second_arms), (first, first_arms)):
        columns = [names.index(arm) for arm in arms]
        found[:, columns] = np.where(np.isnan(values), found[:, columns], values)
    return np.asarray(np.nan_to_num(found))
