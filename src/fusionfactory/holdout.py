"""One fitted router on outcomes that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.contest import Contest, oracle_entry
from fusionfactory.errors import TableError
from fusionfactory.intervals import Bootstrap
from fusionfactory.leaderboard import leaderboard_row
from fusionfactory.trial import observe

if TYPE_CHECKING:
    from fusionfactory.policy import Policy
    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable

__all__ = ["measure", "unseen"]


def unseen(router: Router, table: OutcomeTable) -> tuple[OutcomeTable, int]:
    """The queries that the router was not fitted on, by normalised text, and how many it was.

    Raises:
        TableError: The router was fitted on every query of the table.
    """
    seen = np.isin(table.text_digests(), router.seen_)
    if seen.all():
        msg = "the router was fitted on every query here: give it outcomes that it has not seen"
        raise TableError(msg)
    return (table.rows(~seen) if seen.any() else table), int(seen.sum())


def measure(router: Router, table: OutcomeTable, policy: Policy) -> dict[str, Any]:
    """The leaderboard row of a fitted router on held-out outcomes.

    Args:
        router: Fitted; the best single arm to compare with is that of its training.
        table: Outcomes of at least the router's arms on queries that it has not seen.
        policy: To choose by; a judge policy measures the judge's scores.

    Raises:
        TableError: The table lacks an arm of the router.
    """
    table = table.select_arms([arm.name for arm in router.arms_])
    contest = Contest(
        seed=0,
        train=table,
        test=table.judged() if policy.judge else table,
        test_rows=np.arange(len(table)),
        normaliser=router.normaliser_,
        best_single=router.best_single_,
        cheapest=router.cheapest_,
    )
    contest.entries["oracle"] = oracle_entry(contest, [policy])
    contest.entries[router.name] = observe(router, contest, [policy], router.encode(table.texts))
    return leaderboard_row(router.name, [contest], policy, Bootstrap(table.groups()))
