"""A router from the gateway's own log of one answer per query, some kept to judge it by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from fusionfactory.errors import TableError, UnsupportedError
from fusionfactory.gateway.log.redaction import HASHED
from fusionfactory.normal_text import normal_texts
from fusionfactory.pricing import with_usable_costs
from fusionfactory.routers import make_router

if TYPE_CHECKING:
    from collections.abc import Collection

    from fusionfactory.gateway.log.logged import Logged
    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import BoolArray

__all__ = ["DEFAULT_ROUTER", "Candidate", "Split", "fit_candidate", "held_out"]

DEFAULT_ROUTER = "trees"
"""Learned most, or nearly so, from one answer per query in `benchmarks/closed_loop.py`."""

Split: TypeAlias = Literal["query", "time"]
"""How decisions are held out: queries at random, near-duplicates together; or the latest ones."""

_LEAST_CELLS = 5


@dataclass(frozen=True)
class Candidate:
    """A fitted router, and what it was fitted on.

    Attributes:
        router: Fitted.
        queries: It learned from.
        cells: Scored answers among them.
        left_out: Arm to its number of scored answers, for arms with too few to learn.
    """

    router: Router
    queries: int
    cells: int
    left_out: dict[str, int]


def held_out(logged: Logged, share: float, split: Split = "query", seed: int = 0) -> BoolArray:
    """(n,) which decisions are kept to judge a candidate by.

    Args:
        logged: n decisions.
        share: Of the queries, or of the decisions by time.
        split: See `Split`.
        seed: Of the drawing of queries.

    Raises:
        TableError: There are too few decisions to leave some on either side.
    """
    if not len(logged):
        msg = (
            "0 decisions of a router are logged with their texts: take a longer time, or let a "
            "first router, of `fusionfactory fit` on collected outcomes, decide and explore"
        )
        raise TableError(msg)
    if split == "time":
        mask = np.arange(len(logged)) >= round(len(logged) * (1 - share))
    else:
        groups = np.unique(normal_texts(logged.text), return_inverse=True)[1]
        order = np.random.default_rng(seed).permutation(int(groups.max(initial=-1)) + 1)
        mask = order[groups] < round(len(order) * share)
    if not mask.any() or mask.all():
        msg = (
            f"{len(logged)} decisions of a router are logged with their texts: too few to learn "
            "from some and judge by others"
        )
        raise TableError(msg)
    return np.asarray(mask)


def fit_candidate(
    outcomes: OutcomeTable,
    logged: Logged,
    held: BoolArray,
    *,
    router: str = DEFAULT_ROUTER,
    encoder: str = "text",
    seed: int = 0,
    arms: Collection[str] | None = None,
    incumbent: Router | None = None,
) -> Candidate:
    """Fits a router on outcomes without those of the held-out decisions and their near-duplicates.

    An answer without a task's score counts by its judge's. What a policy's name means stays as it
    is: costs and quality are normalised to the incumbent's scale.

    Args:
        outcomes: Of the gateway, and of whatever was collected beside.
        logged: n decisions.
        held: (n,) those to leave out.
        router: Its specification.
        encoder: Of its texts.
        seed: Of everything random in the fit.
        arms: Names of the arms that can be asked; None for all of the outcomes.
        incumbent: The router that decides now.

    Raises:
        TableError: Nothing is left to learn from.
        UnsupportedError: The router can only decide by one policy.
    """
    table, left_out = _to_learn_from(outcomes, logged, held, arms)
    made = make_router(router, encoder=encoder, seed=seed)
    if made.policy_bound:
        msg = f"{router!r} can only decide by one policy, and clients name theirs: use another"
        raise UnsupportedError(msg)
    made.fit(table)
    if incumbent is not None:
        _keep_scale(made, incumbent, table.texts)
    return Candidate(made, len(table), int(table.observed().sum()), left_out)


def _to_learn_from(
    outcomes: OutcomeTable, logged: Logged, held: BoolArray, arms: Collection[str] | None
) -> tuple[OutcomeTable, dict[str, int]]:
    """The outcomes that may be learned from, of the arms that have enough of them."""
    quality = np.where(np.isnan(outcomes.quality), outcomes.judge, outcomes.quality)
    table = replace(with_usable_costs(outcomes), quality=quality)
    hidden = {logged.ids[i] for i in np.nonzero(held)[0]}
    texts = set(normal_texts([logged.text[i] for i in np.nonzero(held)[0]]))
    ids = table.queries["query_id"].to_list()
    free = [
        id not in hidden and normal not in texts and bool(text) and not text.startswith(HASHED)
        for id, text, normal in zip(ids, table.texts, normal_texts(table.texts), strict=True)
    ]
    usable = np.asarray(free) & table.observed().any(axis=1)
    if not usable.any():
        msg = (
            "no answer that is left to learn from is scored and has its text: score, judge or rate "
            'answers, and keep texts = "full" in [serve.log]'
        )
        raise TableError(msg)
    table = table.rows(np.nonzero(usable)[0])
    if arms is not None:
        asked = [name for name in table.arm_names if name in arms]
        if not asked:
            msg = (
                f"the outcomes are of {', '.join(table.arm_names)}, and none of these is an arm of "
                "the settings"
            )
            raise TableError(msg, field="arms")
        table = table.select_arms(asked)
    cells = dict(zip(table.arm_names, table.observed().sum(axis=0).tolist(), strict=True))
    known = [name for name, count in cells.items() if count >= _LEAST_CELLS]
    if not known:
        msg = f"no arm has {_LEAST_CELLS} scored answers to learn from"
        raise TableError(msg, field="performance")
    table = table.select_arms(known)
    answered = np.nonzero(table.observed().any(axis=1))[0]
    return table.rows(answered), {k: v for k, v in cells.items() if v < _LEAST_CELLS}


def _keep_scale(router: Router, incumbent: Router, texts: list[str]) -> None:
    """Stretches a router's normalisation until a unit of quality, and a USD, weigh as before."""
    wanted, found = (
        one.normaliser_.slopes(one.estimate(texts).task_weights, len(texts))
        for one in (incumbent, router)
    )
    for column, now, before in zip((0, 2), found, wanted, strict=True):
        if before.mean() > 0 and now.mean() > 0:
            ranges = router.normaliser_.ranges_
            span = ranges[:, column + 1] - ranges[:, column]
            ranges[:, column + 1] = ranges[:, column] + span * (now.mean() / before.mean())
