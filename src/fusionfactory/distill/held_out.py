"""Which queries of a selection are kept for validation, by a trainer of ours or of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.errors import DistillError
from fusionfactory.tasks.sampling import rank

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["held_out"]


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
