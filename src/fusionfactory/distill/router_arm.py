"""A fitted router learns of a student without a refit, from few labelled answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import DistillError
from fusionfactory.pricing import with_usable_costs
from fusionfactory.tasks.sampling import rank

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fusionfactory.routers import Router
    from fusionfactory.table import OutcomeTable
    from fusionfactory.types import Arm

__all__ = ["Joined", "join_router", "labelled"]

_SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Joined:
    """An arm that a router took.

    Attributes:
        arm: Its name.
        labels: Ids of the queries whose outcomes the router saw.
        quality: Mean quality of these, in [0, 1]; None without any.
    """

    arm: str
    labels: tuple[str, ...]
    quality: float | None


def labelled(
    table: OutcomeTable, arm: str, labels: int, seed: int = 0, learnt: Collection[str] = ()
) -> OutcomeTable:
    """An arm's outcomes on some scored queries of train and validation, drawn by digest.

    Args:
        table: What was collected and scored; test queries in it are never drawn.
        arm: Name of the arm.
        labels: How many.
        seed: Of the draw.
        learnt: Ids of the queries that the arm was trained on: how well it does on those says
            little about others, so they are not drawn either.

    Raises:
        DistillError: The arm has fewer scored outcomes than that.
    """
    if arm not in table.arm_names:
        msg = f"there are no answers of {arm!r} to learn from: collect and score some first"
        raise DistillError(msg, field="arm")
    column = table.select_arms([arm])
    usable = column.observed()[:, 0] & column.queries["split"].is_in(_SPLITS).to_numpy()
    usable &= ~column.queries["query_id"].is_in(list(learnt)).to_numpy()
    ids = column.queries["query_id"].to_list()
    drawn = sorted(np.flatnonzero(usable), key=lambda row: rank(seed, ids[row]))[:labels]
    if len(drawn) < labels:
        unseen = " that it did not learn" if learnt else ""
        msg = f"{arm!r} has {len(drawn)} scored answers to train and validation questions{unseen}, "
        msg += f"{labels} were asked for: ask for fewer, or collect and score more"
        raise DistillError(msg, field="labels")
    return column.rows(np.sort(np.asarray(drawn, dtype=np.int64)))


def join_router(
    router: Router,
    arms: Sequence[Arm],
    table: OutcomeTable | None,
    *,
    labels: int,
    seed: int = 0,
    learnt: Collection[str] = (),
) -> list[Joined]:
    """Adds arms to a fitted router in place.

    Args:
        router: One that can add arms: knn and graph can.
        arms: With the prices and descriptions that the router is to know.
        table: Outcomes to draw labels from; without it the router goes by the description alone.
        labels: Labelled outcomes of each arm.
        seed: Of the draw.
        learnt: As `labelled`.

    Raises:
        DistillError: As `labelled`.
        UnsupportedError: The router cannot add arms, or not in this way.
        TableError: The router knows an arm already.
    """
    # All labels are there before the router changes.
    seen: dict[str, OutcomeTable | None] = dict.fromkeys(arm.name for arm in arms)
    if table is not None:
        usable = with_usable_costs(table)
        seen = {name: labelled(usable, name, labels, seed, learnt) for name in seen}
    joined = []
    for arm in arms:
        outcomes = seen[arm.name]
        router.add_arm(arm, outcomes)
        ids = () if outcomes is None else tuple(outcomes.queries["query_id"].to_list())
        mean = None if outcomes is None else float(np.nanmean(outcomes.quality))
        joined.append(Joined(arm.name, ids, mean))
    return joined
