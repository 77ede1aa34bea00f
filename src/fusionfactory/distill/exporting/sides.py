"""Training rows and held-out rows, no query on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from fusionfactory.errors import DistillError
from fusionfactory.tasks.sampling import rank

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fusionfactory.distill.selection import Example, Pair, Selection

__all__ = ["TRAIN", "VALIDATION", "Side", "held_out", "sides"]

TRAIN = "train"
VALIDATION = "validation"

T = TypeVar("T", "Example", "Pair")


@dataclass(frozen=True, slots=True)
class Side:
    """The rows of one side, in the selection's order."""

    examples: tuple[Example, ...] = ()
    pairs: tuple[Pair, ...] = ()


def held_out(queries: Iterable[str], share: float, seed: int) -> frozenset[str]:
    """The ids to hold out: a share of them, at least one, by a digest of seed and id.

    The order of the ids and how often one stands there count for nothing.

    Raises:
        DistillError: Nothing would be left to train on.
    """
    known = set(queries)
    if not share:
        return frozenset()
    wanted = max(1, round(share * len(known)))
    if wanted >= len(known):
        msg = (
            f"holding out {share:g} of {len(known)} queries leaves none to train on: choose more "
            "queries or hold out a smaller share"
        )
        raise DistillError(msg, field="eval_share")
    return frozenset(sorted(known, key=lambda id: (rank(seed, id), id))[:wanted])


def sides(selection: Selection, share: float, seed: int) -> dict[str, Side]:
    """The selection by side, `TRAIN` and `VALIDATION`; examples and pairs of a query together.

    Raises:
        DistillError: No example, or no pair, would be left to train on.
    """
    items = (*selection.examples, *selection.pairs)
    out = held_out((item.query_id for item in items), share, seed)
    found = {
        name: Side(_kept(selection.examples, out, inside), _kept(selection.pairs, out, inside))
        for name, inside in ((TRAIN, False), (VALIDATION, True))
    }
    for kind, kept, all in (
        ("examples", found[TRAIN].examples, selection.examples),
        ("pairs", found[TRAIN].pairs, selection.pairs),
    ):
        if all and not kept:
            msg = (
                f"all {len(all)} {kind} belong to queries that are held out: hold out a smaller "
                "share, or take another seed"
            )
            raise DistillError(msg, field="eval_share")
    return found


def _kept(items: tuple[T, ...], out: frozenset[str], inside: bool) -> tuple[T, ...]:
    return tuple(item for item in items if (item.query_id in out) is inside)
