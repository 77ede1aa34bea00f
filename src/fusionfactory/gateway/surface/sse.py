"""Server-sent events: the data of each event, from bytes that come in any pieces."""

from __future__ import annotations

from fusionfactory.clients.endpoint import LARGEST_BODY

__all__ = ["DONE", "EventParser", "EventTooLongError", "event"]

DONE = b"[DONE]"
"""The data of the event that ends a stream well."""

_BOM = b"\xef\xbb\xbf"


class EventTooLongError(ValueError):
    """An event is longer than is kept of it."""


def event(data: bytes, kind: str | None = None) -> bytes:
    """An event, ready to be sent.

    Args:
        data: JSON on one line.
        kind: Its type, where it has one.
    """
    if kind is None:
        return b"data: %b\n\n" % data
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


class EventParser:
    """Splits a stream into the data of its events, as the HTML standard has it.

    Lines end with LF, CR LF or CR. Comments, types and ids are passed over. The lines of data of
    one event are joined by LF.

    Args:
        longest: Bytes of an event at which the stream is given up.
    """

    def __init__(self, longest: int = LARGEST_BODY) -> None:
        self._longest = longest
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that the chunk completes.

        Raises:
            EventTooLongError: An event is too long.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        found: list[bytes] = []
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._grow(line)
            if self._line:
                self._line.append(line)
                self._take(b"".join(self._line), found)
                self._line.clear()
            else:
                self._take(line, found)
        if rest:
            self._grow(rest)
            self._line.append(rest)
        return found

    def end(self) -> list[bytes]:
        """The data of an event that the stream's end parts from its empty line."""
        found: list[bytes] = []
        self._take(b"".join(self._line), found)
        self._line.clear()
        self._take(b"", found)
        return found

    def _take(self, line: bytes, found: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            self._data.append(b"")
        elif not line and self._data:
            found.append(b"\n".join(self._data))
            self._data.clear()
        if not self._data:
            self._size = 0

    def _grow(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._longest:
            msg = f"an event of the stream is longer than {self._longest} bytes"
            raise EventTooLongError(msg)
