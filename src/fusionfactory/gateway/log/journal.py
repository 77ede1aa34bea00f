"""The journal: what was answered is in a file before the client has the whole answer.

The loop serialises a record and waits; one thread hands whatever has gathered to the kernel by one
call and reports it by one callback. A record is then safe from the death of every process here,
though not from that of the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from fusionfactory.errors import ConfigError
from fusionfactory.gateway.log.redaction import Redaction
from fusionfactory.gateway.log.segment import Segment
from fusionfactory.gateway.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fusionfactory.gateway.log.record import Record
    from fusionfactory.serve_settings import LogSettings

__all__ = ["Journal"]

_SEGMENT_BYTES = 16 * 2**20
_BATCH_BYTES = 2**20
_QUEUE_BYTES = 256 * 2**20
_RETRY_S = 0.25
_CLOSE_S = 5.0


class Journal:
    """Adds records and events to segments in a folder.

    Args:
        folder: Of the segments, shared with other workers; made where it is missing.
        worker: Number of this process among them.
        settings: What is kept, how many records may wait, and what happens where they cannot.
    """

    def __init__(self, folder: Path, worker: int, settings: LogSettings) -> None:
        self._folder, self._worker, self._settings = folder, worker, settings
        self._redaction = Redaction(settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lines: deque[bytes] = deque()  # filled by the loop, emptied by the thread
        self._waiting: deque[tuple[float, asyncio.Future[bool]]] = deque()  # of these lines
        self._waiting_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._wake = threading.Lock()
        self._asleep = False
        self._closing = False
        self._segment: Segment | None = None
        self._thread: threading.Thread | None = None
        self._told = 0
        self.written = 0
        """Lines that are in a segment."""
        self.shed = 0
        """Records and events that were not kept, for want of room or of a disk that works."""
        self.failing: str | None = None
        """Why nothing can be written at present; None while it can."""

    @property
    def waiting(self) -> int:
        """Lines that are not yet in a segment."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no further record may wait."""
        return len(self._waiting) >= self._settings.queue or self._waiting_bytes >= _QUEUE_BYTES

    def start(self) -> None:
        """Opens a segment and starts the thread.

        Raises:
            ConfigError: The folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._segment = Segment.create(self._folder, self._worker)
        except OSError as error:
            msg = f"the journal cannot be written: {error.strerror}; name a folder that can"
            raise ConfigError(msg, file=self._folder, field="serve.state") from None
        self._wake.acquire()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Refuses a new request where its record could not be kept and it must be.

        Raises:
            Refusal: 503, with `when_full = "refuse"` only.
        """
        if self._settings.when_full != "refuse" or not (self.failing or self.full):
            return
        why = self.failing or "too many records wait to be written"
        msg = f"the gateway cannot log requests at present ({why}) and is set to refuse them then"
        raise Refusal(503, msg, code="log_unavailable", headers={"retry-after": "1"})

    async def write(self, record: Record) -> bool:
        """Writes a record; waits for it at most `wait_s`, and not at all while the disk fails.

        Returns:
            Whether it is in a segment. If not, it may still get there, or it was shed.
        """
        return await self._put(self._redaction.line(record))

    async def event(self, kind: str, facts: Mapping[str, Any]) -> bool:
        """Writes what is learnt of a request later, such as `feedback`; as `write`."""
        return await self._put(self._redaction.event(kind, facts))

    async def close(self) -> None:
        """Writes what waits, as far as the disk takes it within some seconds, and ends."""
        if self._thread is None:
            return
        self._closing = True
        self._rouse()
        await asyncio.to_thread(self._thread.join, _CLOSE_S)
        self.shed += len(self._waiting)
        self._settle(len(self._waiting), kept=False)
        self._thread = None

    # On the loop

    async def _put(self, line: bytes) -> bool:
        if self.full or self._closing or self._thread is None:
            self.shed += 1
            return False
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        done = loop.create_future()
        until = loop.time() + self._settings.wait_s
        self._waiting.append((until, done))
        self._waiting_bytes += len(line)
        self._lines.append(line)
        if self._asleep:
            self._rouse()
        if self.failing:
            return False
        if self._deadline is None:
            self._deadline = loop.call_at(until, self._expire)
        kept: bool = await done
        return kept

    def _rouse(self) -> None:
        self._asleep = False
        if self._wake.locked():
            self._wake.release()

    def _expire(self) -> None:
        """Lets go of those that have waited long enough; their lines stay in the queue."""
        self._deadline = None
        loop = self._loop
        if loop is None:
            return
        now = loop.time()
        for until, done in self._waiting:
            if until > now:
                self._deadline = loop.call_at(until, self._expire)
                return
            if not done.done():
                done.set_result(False)

    def _report(self, lines: int, size: int, failing: str | None) -> None:
        self.failing = failing
        self.written += lines
        self._waiting_bytes -= size
        self._settle(lines, kept=True)

    def _settle(self, lines: int, *, kept: bool) -> None:
        for _ in range(lines):
            _, done = self._waiting.popleft()
            if not done.done():
                done.set_result(kept)

    # In the thread

    def _run(self) -> None:
        batch: list[bytes] = []
        while True:
            batch = batch or self._gather()
            if not batch:
                if self._closing:
                    break
                self._sleep()
                continue
            batch, failing = self._append(batch)
            if failing and self._closing:
                break
            if failing:
                time.sleep(_RETRY_S)
        self._end_segment()

    def _gather(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._lines and size < _BATCH_BYTES:
            batch.append(self._lines.popleft())
            size += len(batch[-1])
        return batch

    def _sleep(self) -> None:
        """Until the loop rouses it. It says so first, and looks again, so as to miss nothing."""
        self._asleep = True
        if not self._lines and not self._closing:
            self._wake.acquire()
        self._asleep = False

    def _append(self, batch: list[bytes]) -> tuple[list[bytes], str | None]:
        """Writes a batch and reports it; gives what is left of it, and why."""
        shed = self.shed
        gap = [self._redaction.event("gap", {"at": time.time(), "requests": shed - self._told})]
        before = gap if shed > self._told else []
        kept, failing = 0, None
        try:
            if self._segment is not None and self._segment.is_gone:
                self._end_segment()
            if self._segment is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._segment = Segment.create(self._folder, self._worker)
            kept = self._segment.append([*before, *batch])
            if before and kept:
                self._told, kept = shed, kept - 1
            if kept < len(batch):
                failing = self._segment.trouble or "the disk took a part of what it was given"
            elif self._segment.size >= _SEGMENT_BYTES:
                self._end_segment()
        except OSError as error:
            failing = error.strerror or type(error).__name__
        if failing:
            self._end_segment()
        self._tell(kept, sum(map(len, batch[:kept])), failing)
        return batch[kept:], failing

    def _end_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            with contextlib.suppress(OSError):
                segment.close()

    def _tell(self, lines: int, size: int, failing: str | None) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
                self._loop.call_soon_threadsafe(self._report, lines, size, failing)
