"""What two routers say of logged decisions, in the columns of the log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fusionfactory.errors import TableError
from fusionfactory.normal_text import text_digests
from fusionfactory.routers import Router

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fusionfactory.gateway.log.logged import Logged
    from fusionfactory.policy import Policy
    from fusionfactory.types import BoolArray, Estimates, FloatArray, IntArray

__all__ = ["Rated", "aligned", "choices", "unseen"]


_NEVER = -1e30


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


def choices(
    router: Router, estimates: Estimates, policy: Policy, asked: Collection[str] | None = None
) -> IntArray:
    """(n,) the arms that a router chooses in a gateway, as columns of the estimates.

    Args:
        router: Fitted.
        estimates: Its own.
        policy: That it decides by.
        asked: Names of the arms that the gateway has; None for all of the router's.

    Raises:
        TableError: The router knows none of these.
    """
    there = np.array([asked is None or arm in asked for arm in estimates.arms])
    if not there.any():
        msg = f"the router knows {', '.join(estimates.arms)}, and the settings have none of these"
        raise TableError(msg, field="arms")
    # No policy chooses what is this bad at an unknown cost.
    quality = np.where(there, estimates.quality, _NEVER)
    told = replace(estimates, quality=quality, cost_usd=np.where(there, estimates.cost_usd, np.nan))
    chosen = router.choose(told, policy)
    if not there[chosen].all():
        # A router that does not choose by its estimates, such as one arm for everything.
        chosen = np.where(there[chosen], chosen, Router.choose(router, told, policy))
    return np.asarray(chosen)


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
