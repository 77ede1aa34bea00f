"""What an evaluation tells of a large table: the keys of `facts.table_facts`, and what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fusionfactory.pricing import NOMINAL_OUTPUT_TOKENS
from fusionfactory.routers import make_router
from fusionfactory.streamed.fitting import learns_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fusionfactory.large import LargeTable
    from fusionfactory.streamed.held import Held
    from fusionfactory.streamed.subject import Subject
    from fusionfactory.streamed.training import Training

__all__ = ["large_facts"]


def large_facts(
    subject: Subject, training: Training, held: Held, routers: Sequence[str], encoder: str
) -> dict[str, Any]:
    """Facts about a table, its audit, and what was learned and tested on what.

    Args:
        subject: What is evaluated.
        training: Of the first seed.
        held: Of the first seed.
        routers: Specifications of the routers.
        encoder: Default encoder.
    """
    table, sums = subject.table, subject.table.sums
    facts: dict[str, Any] = {
        "queries": len(table),
        "arms": len(table.arms),
        "tasks": len(sums.tasks),
        "fingerprint": table.fingerprint(),
        "cost_basis": table.cost_basis,
        "has_judge": table.has_judge,
        "observed_share": float(sums.cells().sum()) / (len(table) * len(table.arms)),
        "coverage": sums.coverage(),
        "arms_left_out": subject.dropped,
        "near_duplicate_queries": len(table) - _groups(table),
        "queries_in_train_and_test": _shared(training, held),
        "encoder": encoder,
        "train_queries": len(training.table),
        "test_queries": len(held.table),
        "streamed": {
            "fits_from": {
                spec: learns_from(make_router(spec, encoder=encoder)) for spec in routers
            },
            "sample_queries": len(training.sample),
            "held_out_queries": held.queries,
        },
    }
    if table.cost_basis == "nominal":
        facts["nominal_output_tokens"] = NOMINAL_OUTPUT_TOKENS
    return facts


def _groups(table: LargeTable) -> int:
    """Groups of near-duplicates."""
    found = [queries["group"].to_numpy()[mask] for queries, mask in table.view.digests()]
    return len(np.unique(np.concatenate(found)))


def _shared(training: Training, held: Held) -> int:
    """Distinct texts that are both learned from and tested on."""
    return len(np.intersect1d(training.seen, held.table.text_digests()))
