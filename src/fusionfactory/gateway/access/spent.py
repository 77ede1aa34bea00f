"""What a request used and cost its key, as far as it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fusionfactory.gateway.log.record import Record

__all__ = ["spent"]


def spent(record: Record, *, answered: bool) -> tuple[int | None, float | None]:
    """Tokens and USD of a request that is over; None for what is unknown.

    Args:
        record: What is known of it.
        answered: Whether an endpoint answered: else what was dropped or lost on its way may have
            been paid for all the same.
    """
    paid = record.cost_usd
    if not answered:
        costs = [attempt.cost_usd for attempt in record.attempts]
        known = [cost for cost in costs if cost is not None]
        paid = sum(known) if len(known) == len(costs) else None
    if record.input_tokens is None or record.output_tokens is None:
        return None, paid
    return record.input_tokens + record.output_tokens, paid
