"""The query level on one split: a router's choices on test, and out of fold on train."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fusionfactory.fuse.arena import fold_numbers, only_arms
from fusionfactory.fuse.levels import QUERY
from fusionfactory.routers import make_router
from fusionfactory.trial import run_router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.contest import Contest, Entry
    from fusionfactory.encoders import Encoder
    from fusionfactory.fuse.levels import Level
    from fusionfactory.policy import Policy
    from fusionfactory.routers import Router
    from fusionfactory.types import IntArray

__all__ = ["Routed", "Setting", "route"]


class Routed(NamedTuple):
    """What a router chose under one policy.

    Attributes:
        entry: On test.
        train: (n,) columns on train, out of fold.
        router: Fitted on the whole train side.
    """

    entry: Entry
    train: IntArray
    router: Router


@dataclass(frozen=True)
class Setting:
    """What is the same for all of a split.

    Attributes:
        levels: Of the table's arms.
        router: Specification of the router of the query level and of the fused choice.
        encoder: Fitted on the train side, for that router.
        folds: Parts of the train side; what is chosen for one is learnt on the others.
    """

    levels: Sequence[Level]
    router: str
    encoder: Encoder | str
    folds: int

    def make(self, seed: int) -> Router:
        """An unfitted router."""
        return make_router(self.router, encoder=self.encoder, seed=seed)


def route(
    contest: Contest, policies: Sequence[Policy], level: Level, setting: Setting
) -> dict[str, Routed]:
    """The query level's choices under every policy, in columns of the whole table."""
    some = only_arms(contest, level.arms)
    columns = np.array([contest.train.arm_names.index(name) for name in level.arms])
    whole = setting.make(contest.seed)
    entry = run_router(whole, some, policies, None)
    inside = {policy.name: np.empty(len(some.train), dtype=np.int64) for policy in policies}
    number = fold_numbers(some.train, setting.folds, contest.seed)
    for fold in range(setting.folds):
        router = setting.make(contest.seed).fit(some.train.rows(number != fold))
        held = some.train.rows(number == fold)
        estimates = router.estimate(held.texts)
        for policy in policies:
            inside[policy.name][number == fold] = columns[router.choose(estimates, policy)]
    found: dict[str, Routed] = {}
    for policy in policies:
        mine = replace(entry, name=QUERY, picks={policy.name: columns[entry.picks[policy.name]]})
        found[policy.name] = Routed(mine, inside[policy.name], whole)
    return found
