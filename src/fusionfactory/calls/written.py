"""The writing end of a run: batches of answers into the sink, and how far the run has come."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic

from fusionfactory.calls.base import Answer, C, Progress, Summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from fusionfactory.calls.ledger import Closing

__all__ = ["MOST_UNWRITTEN", "Written"]

MOST_UNWRITTEN = 1_000
"""Answers that wait for the sink; they are lost if it fails, so no call starts beyond them."""


class Written(Generic[C]):
    """Hands batches to the sink, one at a time, and counts them once they are durable.

    Args:
        total: Calls of the run.
        sink: Writes answers durably; runs in a thread.
        report: Told at the start and after every write.
    """

    def __init__(
        self,
        total: int,
        sink: Callable[[list[Answer[C]]], None],
        report: Callable[[Progress], None] | None,
    ) -> None:
        self._sink = sink
        self._report = report or (lambda _: None)
        self._progress = Progress(total)
        self._report(self._progress)

    async def write(self, batch: list[Answer[C]]) -> None:
        """Writes a batch."""
        await asyncio.to_thread(self._sink, batch)
        progress = self._progress
        progress.done += len(batch)
        progress.failed += sum(answer.reply is None for answer in batch)
        progress.spent_usd += sum(answer.cost_usd or 0.0 for answer in batch)
        progress.unpriced += sum(answer.cost_usd is None for answer in batch)
        self._report(progress)

    def summary(self, closing: Closing) -> Summary:
        """What the run came to.

        Args:
            closing: The ledger's, at the end.

        Raises:
            CallError: Every endpoint refused, and nothing was answered.
        """
        progress = self._progress
        if closing.refusals and not progress.done:
            raise closing.refusals[0]
        return Summary(
            done=progress.done,
            failed=progress.failed,
            left=progress.total - progress.done,
            spent_usd=progress.spent_usd,
            unpriced=progress.unpriced,
            errors=closing.errors,
            stopped=closing.stopped,
            seconds=time.perf_counter() - progress.started_s,
        )
