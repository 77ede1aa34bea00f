"""From the journal into the store, every line exactly once, whatever is killed meanwhile."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fusionfactory.errors import InputError
from fusionfactory.gateway.log.line import Entry, Feedback, Gap, read_line
from fusionfactory.gateway.log.record import Record
from fusionfactory.gateway.log.recorded import Numbers, write_records
from fusionfactory.gateway.log.segment import is_finished, segments
from fusionfactory.gateway.log.verdicts import apply_feedback
from fusionfactory.store.schema import feedback, gaps, journals

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.serve_settings import LogSettings
    from fusionfactory.store import Store

__all__ = ["DAMAGED", "Ingester"]

DAMAGED = ".damaged"
"""Ends the name of a file beside a segment: its lines that cannot be stored, each after where it
stood and a tab."""

_CHUNK_BYTES = 2 * 2**20
_LOCK = 7_246_834  # any number: whoever ingests into PostgreSQL holds this lock


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Lines of a segment, from a place in it.

    Attributes:
        path: Of the segment.
        start: Byte at which the first line begins.
        lines: Whole ones; the last one may be torn where the segment is finished.
        entries: What each line says; None where it says nothing.
    """

    path: Path
    start: int
    lines: list[bytes]
    entries: list[Entry | None]

    @property
    def end(self) -> int:
        return self.start + sum(map(len, self.lines))

    def halves(self) -> tuple[_Chunk, _Chunk]:
        middle = len(self.lines) // 2
        first = _Chunk(self.path, self.start, self.lines[:middle], self.entries[:middle])
        return first, _Chunk(self.path, first.end, self.lines[middle:], self.entries[middle:])


class _MovedError(Exception):
    """Another process has ingested these lines."""


class _RefusedError(Exception):
    """The database cannot hold a value."""


class Ingester:
    """Moves what is in a folder of segments into a store.

    How far a segment has got is written in the transaction that writes its rows. A segment whose
    writer has ended is deleted once all of it is in the store.

    Args:
        store: Where requests go; feedback too, as scores of their outcomes.
        folder: Of the journal.
        settings: Whether texts are kept, so that an answer can be compared with a target.
    """

    def __init__(self, store: Store, folder: Path, settings: LogSettings) -> None:
        self._store, self._folder = store, folder
        self._keeps_texts = settings.texts == "full"
        self._offsets: dict[str, int] = {}
        self._numbers = Numbers({}, {})

    def step(self) -> int:
        """Moves what is there, some megabytes of each segment at most.

        Returns:
            The number of lines. 0 means that all is in the store, but for lines half written.

        Raises:
            StoreError: The store cannot be written; nothing is lost, and a later step goes on.
        """
        lines = 0
        for path in segments(self._folder):
            try:
                lines += self._advance(path)
            except _MovedError:
                self._offsets.pop(path.name, None)
                # What was read there may hold lines that the other one has not seen.
                lines += 1
        return lines

    def _advance(self, path: Path) -> int:
        try:
            file = path.open("rb")
        except FileNotFoundError:  # deleted by another ingester
            return 0
        with file:
            # Asked before it is read: what a living writer adds later is for the next step.
            finished = is_finished(file.fileno())
            start = self._offset(path.name)
            file.seek(start)
            lines = file.readlines(_CHUNK_BYTES)
            if lines and not lines[-1].endswith(b"\n") and not finished:
                lines.pop()
            size = os.fstat(file.fileno()).st_size
        chunk = _Chunk(path, start, lines, [_entry(line) for line in lines])
        if lines:
            self._take(chunk)
        if finished and chunk.end >= size:
            path.unlink(missing_ok=True)
            self._forget(path.name)
        return len(lines)

    def _offset(self, name: str) -> int:
        if name not in self._offsets:
            with self._store.transaction() as connection:
                self._offsets[name] = _stored_offset(connection, name)
        return self._offsets[name]

    def _forget(self, name: str) -> None:
        """Nobody will ask for it again: names of segments are not used twice."""
        self._offsets.pop(name, None)
        where = (journals.c.segment == name) & (journals.c.damaged == 0)
        with self._store.transaction(write=True) as connection:
            connection.execute(journals.delete().where(where))

    def _take(self, chunk: _Chunk) -> None:
        """Stores a chunk; where the store refuses a value, all of it but that."""
        _set_aside(chunk)
        try:
            # A server that is away is not waited for: whoever takes steps may have to end.
            self._numbers = self._store.run(
                lambda connection: self._write(connection, chunk), write=True, patience_s=0.0
            )
        except (sa.exc.IntegrityError, _RefusedError):
            if chunk.entries == [None]:  # it is not the line
                raise
            if len(chunk.lines) == 1:
                self._take(_Chunk(chunk.path, chunk.start, chunk.lines, [None]))
                return
            for half in chunk.halves():
                self._take(half)
        else:
            self._offsets[chunk.path.name] = chunk.end

    def _write(self, connection: sa.Connection, chunk: _Chunk) -> Numbers:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        try:
            return self._write_entries(connection, chunk)
        except (sa.exc.DataError, InputError, OverflowError) as error:
            raise _RefusedError from error

    def _write_entries(self, connection: sa.Connection, chunk: _Chunk) -> Numbers:
        name = chunk.path.name
        if _stored_offset(connection, name) != chunk.start:
            raise _MovedError
        numbers = self._numbers.copy()
        given = [e for e in chunk.entries if isinstance(e, Record)]
        write_records(connection, given, numbers)
        said = [e for e in chunk.entries if isinstance(e, Feedback)]
        if said:
            connection.execute(feedback.insert(), [_feedback_row(entry) for entry in said])
        missing = [e for e in chunk.entries if isinstance(e, Gap)]
        if missing:
            connection.execute(
                gaps.insert(), [{"at": g.at, "requests": g.requests} for g in missing]
            )
        apply_feedback(connection, keeps_texts=self._keeps_texts)
        damaged = chunk.entries.count(None)
        if chunk.start == 0:
            row = {"segment": name, "offset": chunk.end, "damaged": damaged}
            connection.execute(journals.insert().values(row))
            return numbers
        change: dict[str, Any] = {
            "offset": chunk.end,
            "damaged": journals.c.damaged + damaged,
        }
        connection.execute(journals.update().where(journals.c.segment == name).values(change))
        return numbers


def _entry(line: bytes) -> Entry | None:
    try:
        return read_line(line)
    except (ValueError, TypeError, KeyError, RecursionError):  # whatever a damaged line may be
        return None


def _stored_offset(connection: sa.Connection, name: str) -> int:
    select = sa.select(journals.c.offset).where(journals.c.segment == name)
    return int(connection.execute(select).scalar() or 0)


def _feedback_row(entry: Feedback) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "key": entry.key,
        "score": entry.score,
        "target": entry.target,
        "applied": 0,
    }


def _set_aside(chunk: _Chunk) -> None:
    """Keeps damaged lines beside the segment, once each though a step be repeated."""
    if None not in chunk.entries:
        return
    path = chunk.path.with_suffix(DAMAGED)
    try:
        there = {line.split(b"\t", 1)[0] for line in path.read_bytes().splitlines()}
    except FileNotFoundError:
        there = set()
    place = chunk.start
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
        for line, entry in zip(chunk.lines, chunk.entries, strict=True):
            if entry is None and str(place).encode() not in there:
                file.write(b"%d\t%b\n" % (place, line.rstrip(b"\n")))
            place += len(line)
