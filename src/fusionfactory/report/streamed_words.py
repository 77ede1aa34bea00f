"""What an evaluation that read its table from disk says of what was learned from what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from fusionfactory.report.figures import count
from fusionfactory.report.parts import STRICT, Count

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["StreamedFacts", "streamed_sentences"]


class StreamedFacts(BaseModel):
    """See `streamed.facts.large_facts`."""

    model_config = STRICT

    fits_from: dict[str, Literal["statistics", "sample"]] = {}
    sample_queries: Count = None
    held_out_queries: Count = None


def streamed_sentences(
    facts: StreamedFacts, train_queries: int | None, test_queries: int | None
) -> Iterator[str]:
    """Which routers learned from everything and which from a sample, and what was tested on.

    Args:
        facts: Of the run.
        train_queries: That could be learned from.
        test_queries: That were tested on.
    """
    every = [name for name, source in facts.fits_from.items() if source == "statistics"]
    some = [name for name, source in facts.fits_from.items() if source == "sample"]
    sampled = (
        "all of them" if facts.sample_queries == train_queries
        else f"a random sample of {count(facts.sample_queries)} of them"
    )  # fmt: skip
    if every:
        yield (
            f"The table was read from disk. {', '.join(every)} learned from statistics over all "
            f"{count(train_queries)} training queries; what needs the texts (a fitted encoder, "
            f"centers of clusters) from {sampled}."
        )
    if some:
        yield (
            f"{', '.join(some)} cannot learn from statistics: of {count(train_queries)} training "
            f"queries {'they' if len(some) > 1 else 'it'} learned from {sampled}."
        )
    held = facts.held_out_queries
    if held is not None and test_queries is not None and held > test_queries:
        yield f"Tested on {count(test_queries)} of {count(held)} held-out queries, drawn at random."
