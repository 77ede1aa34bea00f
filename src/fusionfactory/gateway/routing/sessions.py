"""Which arm a conversation has: a table in a file, shared by all workers."""

from __future__ import annotations

import hashlib
import struct
import time
import zlib
from typing import TYPE_CHECKING

from fusionfactory.gateway.routing.shared import shared_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["Sessions"]

_KEY = 16
_FACTS = struct.Struct("<8sd")
_SUM = struct.Struct("<I")
_SIZE = _KEY + _FACTS.size + _SUM.size + 4
_WAYS = 8
"""Places at which a conversation may stand; the one of eight that was silent longest goes first."""


class Sessions:
    """Conversations and their arms, of a fixed size however many there are.

    Several processes write without a lock: an entry carries a checksum, and one that does not fit
    is read as none. A lost entry costs a conversation its arm, and nothing else.

    Args:
        path: The file; None for a table of this process alone.
        ttl_s: Seconds of silence after which a conversation is forgotten.
        arms: Names of the arms that may be read back.
        entries: How many the table holds.
        clock: Unix seconds.

    Raises:
        ConfigError: The file cannot be made.
    """

    def __init__(
        self,
        path: Path | None,
        ttl_s: float,
        arms: Iterable[str],
        *,
        entries: int = 1 << 16,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ttl_s, self._clock = ttl_s, clock
        self._arms = {_mark(name, 8): name for name in arms}
        self._marks = {name: mark for mark, name in self._arms.items()}
        self._buckets = max(entries // _WAYS, 1)
        self._table = shared_bytes(path, self._buckets * _WAYS * _SIZE)

    def get(self, session: str) -> str | None:
        """The arm of a conversation; None where it has none, or has been silent for too long."""
        key = _mark(session, _KEY)
        for start in self._places(key):
            entry = self._table[start : start + _SIZE]
            if entry.startswith(key):
                mark, at = _read(entry)
                if at + self._ttl_s < self._clock():
                    return None
                return self._arms.get(mark)
        return None

    def put(self, session: str, arm: str) -> None:
        """From now on the conversation has this arm."""
        key, now = _mark(session, _KEY), self._clock()
        chosen, oldest = -1, float("inf")
        for start in self._places(key):
            entry = self._table[start : start + _SIZE]
            if entry.startswith(key):
                chosen = start
                break
            _, at = _read(entry)
            if at < oldest:
                chosen, oldest = start, at
        facts = key + _FACTS.pack(self._marks[arm], now)
        self._table[chosen : chosen + _SIZE] = facts + _SUM.pack(zlib.crc32(facts)) + bytes(4)

    def close(self) -> None:
        """Lets go of the file."""
        self._table.close()

    def _places(self, key: bytes) -> range:
        bucket = int.from_bytes(key[:4], "little") % self._buckets
        first = bucket * _WAYS * _SIZE
        return range(first, first + _WAYS * _SIZE, _SIZE)


def _mark(text: str, size: int) -> bytes:
    told = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=size, usedforsecurity=False).digest()


def _read(entry: bytes) -> tuple[bytes, float]:
    """Mark of the arm, and when it was put; long ago where the entry is empty or torn."""
    facts, (told,) = entry[: _KEY + _FACTS.size], _SUM.unpack_from(entry, _KEY + _FACTS.size)
    if zlib.crc32(facts) != told:
        return b"", float("-inf")
    mark, at = _FACTS.unpack_from(facts, _KEY)
    return mark, at
