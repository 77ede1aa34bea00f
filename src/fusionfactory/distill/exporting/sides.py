"""Training rows and held-out rows, no query on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from fusionfactory.distill.held_out import held_out
from fusionfactory.errors import DistillError

if TYPE_CHECKING:
    from fusionfactory.distill.selection import Example, Pair, Selection

__all__ = ["TRAIN", "VALIDATION", "Side", "sides"]

TRAIN = "train"
VALIDATION = "validation"

T = TypeVar("T", "Example", "Pair")


@dataclass(frozen=True, slots=True)
class Side:
    """The rows of one side, in the selection's order."""

    examples: tuple[Example, ...] = ()
    pairs: tuple[Pair, ...] = ()


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
