"""What is told of every request that is over: figures at once, lines and spans from a thread."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING

from fusionfactory.gateway.log.redaction import Redaction
from fusionfactory.gateway.operations.logs import request_line
from fusionfactory.serve_settings import LogSettings

if TYPE_CHECKING:
    from fusionfactory.gateway.fleet import Fleet
    from fusionfactory.gateway.log.record import Record
    from fusionfactory.gateway.operations.metrics import Metrics
    from fusionfactory.gateway.operations.spans import Spans

__all__ = ["Reports"]

_PAUSE_S = 0.1
_WAITING = 10_000
_AT_ONCE = 4096
"""Bytes that a pipe takes whole, so that lines of several workers do not mix."""
_CLOSE_S = 5.0
_BROKEN = 500
_SHOWN = {"debug": 0, "info": 0, "warning": _BROKEN}
"""Level to the HTTP status from which a request has its line."""


class Reports:
    """Hands what happened to figures, log and spans; a slow reader of the log delays no request.

    Args:
        metrics: Counts at once.
        level: Of the structured log.
        prompts: Whether the log may show prompts and answers, but for what is redacted.
        spans: Makes spans of a request; None for none.
        fd: Where lines go.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        level: str = "info",
        prompts: bool = False,
        spans: Spans | None = None,
        fd: int = 2,
    ) -> None:
        self.metrics = metrics
        self.dropped = 0
        self._from_status = _SHOWN.get(level)
        self._prompts, self._spans, self._fd = prompts, spans, fd
        self._redaction = Redaction(LogSettings())
        self._waiting: deque[Record | bytes] = deque()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
        self._thread.start()

    def turn_away(self, status: int) -> None:
        """Counts a request that was not let in."""
        self.metrics.turn_away(status)

    def observe(self, record: Record) -> None:
        """Takes in a request that is over."""
        self.metrics.observe(record)
        shown = self._from_status is not None and record.status >= self._from_status
        if shown or self._spans is not None:
            self.put(record)

    def name_arms_by(self, fleet: Fleet) -> None:
        """After a reload: spans name models and endpoints by these arms from now on."""
        if self._spans is not None:
            self._spans.fleet = fleet

    def redact_by(self, settings: LogSettings) -> None:
        """After a reload: what these patterns match is in no line and no span from now on."""
        self._redaction = Redaction(settings.model_copy(update={"texts": "full"}))

    def put(self, item: Record | bytes) -> None:
        """Takes in a record or a finished line; drops and counts it where too many wait."""
        if len(self._waiting) >= _WAITING:
            self.dropped += 1
        else:
            self._waiting.append(item)

    def close(self) -> None:
        """Writes what waits; what comes later is written by nobody."""
        self._over.set()
        self._thread.join(timeout=_CLOSE_S)
        if self._spans is not None:
            self._spans.close()

    def _run(self) -> None:
        while not self._over.wait(_PAUSE_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        piece = b""
        while self._waiting:
            line = self._line(self._waiting.popleft())
            if len(piece) + len(line) > _AT_ONCE:
                self._write(piece)
                piece = b""
            piece += line
        self._write(piece)

    def _line(self, item: Record | bytes) -> bytes:
        if isinstance(item, bytes):
            return item
        item = self._redaction.kept(item)
        if self._spans is not None:
            self._spans(item)
        if self._from_status is None or item.status < self._from_status:
            return b""
        return request_line(item, prompts=self._prompts)

    def _write(self, piece: bytes) -> None:
        try:
            while piece:
                piece = piece[os.write(self._fd, piece) :]
        except OSError:
            self.dropped += 1
