"""Forgetting: what is older than it may be leaves the store, texts, scores and all."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from fusionfactory.gateway.log.ingest import DAMAGED
from fusionfactory.gateway.log.tally import MINUTE_S
from fusionfactory.store.schema import (
    conversations,
    feedback,
    gaps,
    journals,
    judgements,
    outcomes,
    queries,
    requests,
    scores,
    tallies,
)

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.serve_settings import LogSettings
    from fusionfactory.store import Store

__all__ = ["Retention"]

_DAY_S = 86_400.0
_CHUNK = 500


class Retention:
    """Deletes requests older than `retention_days`, and whatever the store holds of them.

    SQLite uses the room again for later requests; `VACUUM` gives it back to the disk.

    Args:
        store: Of the requests.
        folder: Of the journal, where lines that could not be stored lie.
        settings: How long requests are kept.
    """

    def __init__(self, store: Store, folder: Path, settings: LogSettings) -> None:
        self._store, self._folder, self._days = store, folder, settings.retention_days

    def step(self, now: float | None = None) -> int:
        """Deletes what is too old, in the store and on this machine.

        Args:
            now: Unix seconds; None for the present.

        Returns:
            The number of requests deleted.

        Raises:
            StoreError: The store cannot be written; what is deleted until then stays so.
        """
        deleted = self.clear_store(now)
        self.clear_folder(now)
        return deleted

    def clear_store(self, now: float | None = None) -> int:
        """As `step`, in the store alone: of gateways that share one, one does it for all."""
        oldest = self._oldest(now)
        if oldest is None:
            return 0
        deleted = 0
        # In short transactions, so that the ingester and others get their turn.
        while count := self._chunk(oldest):
            deleted += count
        with self._store.transaction(write=True) as connection:
            for table in (feedback, gaps):
                connection.execute(table.delete().where(table.c.at < oldest))
            gone = tallies.c.minute < math.floor(oldest / MINUTE_S)
            connection.execute(tallies.delete().where(gone))
        return deleted

    def clear_folder(self, now: float | None = None) -> None:
        """Deletes lines that could not be stored, which lie on the machine where they came in.

        Raises:
            StoreError: The store cannot be written.
        """
        oldest = self._oldest(now)
        if oldest is not None:
            self._delete_damaged(oldest)

    def _oldest(self, now: float | None) -> float | None:
        if self._days is None:
            return None
        return (time.time() if now is None else now) - self._days * _DAY_S

    def _chunk(self, oldest: float) -> int:
        select = sa.select(requests.c.query_no).where(requests.c.at < oldest).limit(_CHUNK)
        with self._store.transaction(write=True) as connection:
            numbers = connection.execute(select).scalars().all()
            for table in (conversations, judgements, scores, outcomes, requests):
                connection.execute(table.delete().where(table.c.query_no.in_(numbers)))
            connection.execute(queries.delete().where(queries.c.no.in_(numbers)))
        return len(numbers)

    def _delete_damaged(self, oldest: float) -> None:
        for path in self._folder.glob(f"*{DAMAGED}"):
            if path.stat().st_mtime >= oldest:
                continue
            path.unlink(missing_ok=True)
            segment = path.with_suffix(".jsonl")
            if segment.exists():
                continue
            with self._store.transaction(write=True) as connection:
                connection.execute(journals.delete().where(journals.c.segment == segment.name))
