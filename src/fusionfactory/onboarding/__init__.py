"""Onboarding: a new arm from few labelled queries, or from its description, without a refit."""

from __future__ import annotations

from fusionfactory.onboarding.choosing import choose_queries
from fusionfactory.onboarding.cost import GrownCost
from fusionfactory.onboarding.grown import GrownRouter
from fusionfactory.onboarding.likeness import likeness
from fusionfactory.onboarding.newcomer import Labels, Newcomer, Published

__all__ = [
    "GrownCost",
    "GrownRouter",
    "Labels",
    "Newcomer",
    "Published",
    "choose_queries",
    "likeness",
]
