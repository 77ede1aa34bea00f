"""Fitting a router on a table that memory does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fusionfactory.policy import Policy
    from fusionfactory.routers import Router
    from fusionfactory.routers.stream import FitsFrom
    from fusionfactory.streamed.training import Training

__all__ = ["fit_large", "learns_from"]


def learns_from(router: Router) -> FitsFrom:
    """Whether a router learns from `statistics` over a whole table, or from a `sample` of it."""
    return "sample" if router.policy_bound else router.fits_from


def fit_large(router: Router, training: Training, policy: Policy | None = None) -> FitsFrom:
    """Fits a router on everything where it can, on the sample where it cannot.

    Args:
        router: Forgets any earlier fit.
        training: What to learn from.
        policy: As for `Router.fit`.

    Returns:
        What it has learned from.

    Raises:
        TableError: An arm has no scored outcome.
        PolicyError: The recipe needs a policy and none is given.
    """
    if learns_from(router) == "sample":
        router.fit(training.sample, policy)
        return "sample"
    router.fit_stream(training.stream(router.encoder if router.uses_features else None))
    return "statistics"
