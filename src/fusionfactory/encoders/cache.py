"""The embedding cache: one SQLite file, so that a text is embedded once, ever.

Keyed by the encoder's fingerprint and the SHA-256 of the text. Several threads and processes may
use it at once. A damaged file or row is an error that says what to delete, never a wrong vector.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import zlib
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.cachedir import cache_dir
from fusionfactory.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fusionfactory.types import FloatArray

__all__ = ["EmbeddingCache", "session_cache", "text_key"]

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS encoders (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, dim INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS embeddings (
    encoder INTEGER NOT NULL, text BLOB NOT NULL, crc INTEGER NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (encoder, text));
"""
_KEYS_PER_SELECT = 500
_WAIT_S = 60.0
_MEMORY_BYTES = 256 * 2**20


def text_key(text: str) -> bytes:
    """SHA-256 of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).digest()


class EmbeddingCache:
    """float32 rows by (fingerprint, text), on disk and the latest of them in memory.

    Args:
        path: The SQLite file; made, with its folder, on first use.
        memory_bytes: Size of what is kept in memory at most.
    """

    def __init__(self, path: Path, *, memory_bytes: int = _MEMORY_BYTES) -> None:
        self.path = path
        self.memory_bytes = memory_bytes
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._memory: OrderedDict[tuple[str, bytes], np.ndarray] = OrderedDict()
        self._held_bytes = 0

    def get(self, fingerprint: str, keys: Sequence[bytes]) -> dict[bytes, FloatArray]:
        """The rows that are known, by key.

        Raises:
            EncoderError: The file cannot be read or is damaged.
        """
        with self._lock:
            found = {}
            for key in keys:
                row = self._memory.get((fingerprint, key))
                if row is not None:
                    self._memory.move_to_end((fingerprint, key))
                    found[key] = row
            missing = [key for key in keys if key not in found]
            if missing:
                read = self._read(fingerprint, missing)
                self._remember(fingerprint, read)
                found.update(read)
            return found

    def put(self, fingerprint: str, keys: Sequence[bytes], rows: FloatArray) -> None:
        """Writes (n, d) rows in one transaction; a row that is there already stays.

        Raises:
            EncoderError: The file cannot be written, or d is not the dimension of this encoder.
        """
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        with self._lock:
            with self._open() as connection, connection:
                # Takes the write lock before reading, so that no other process comes between.
                connection.execute("BEGIN IMMEDIATE")
                encoder, dim = self._encoder(connection, fingerprint, rows.shape[1])
                if dim != rows.shape[1]:
                    msg = (
                        f"the encoder gave {rows.shape[1]} columns, but its rows in the cache "
                        f"{self.path} have {dim}: has the model changed under its name?"
                    )
                    raise EncoderError(msg)
                blobs = [row.tobytes() for row in rows]
                connection.executemany(
                    "INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?, ?)",
                    [(encoder, k, zlib.crc32(b), b) for k, b in zip(keys, blobs, strict=True)],
                )
            self._remember(fingerprint, dict(zip(keys, rows, strict=True)))

    def close(self) -> None:
        """Closes the file and forgets what is held in memory."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None
            self._memory.clear()
            self._held_bytes = 0

    def _read(self, fingerprint: str, keys: Sequence[bytes]) -> dict[bytes, FloatArray]:
        found: dict[bytes, FloatArray] = {}
        with self._open() as connection:
            encoder, dim = self._encoder(connection, fingerprint, None)
            for start in range(0, len(keys) if encoder else 0, _KEYS_PER_SELECT):
                part = keys[start : start + _KEYS_PER_SELECT]
                marks = ",".join("?" * len(part))
                select = "SELECT text, crc, vector FROM embeddings WHERE encoder = ? AND text IN"
                for key, crc, blob in connection.execute(f"{select} ({marks})", (encoder, *part)):
                    if len(blob) != 4 * dim or zlib.crc32(blob) != crc:
                        raise EncoderError(self._damage("a row fails its checksum"))
                    found[key] = np.frombuffer(blob, dtype=np.float32)
        return found

    @staticmethod
    def _encoder(
        connection: sqlite3.Connection, fingerprint: str, dim: int | None
    ) -> tuple[int, int]:
        select = "SELECT id, dim FROM encoders WHERE fingerprint = ?"
        row = connection.execute(select, (fingerprint,)).fetchone()
        if row is None and dim is not None:
            insert = "INSERT INTO encoders (fingerprint, dim) VALUES (?, ?)"
            made = connection.execute(insert, (fingerprint, dim)).lastrowid
            return int(made or 0), dim
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    def _remember(self, fingerprint: str, rows: dict[bytes, FloatArray]) -> None:
        for key, row in rows.items():
            held = self._memory.pop((fingerprint, key), None)
            self._held_bytes += row.nbytes - (0 if held is None else held.nbytes)
            # A copy: a view would keep the whole batch it was cut from.
            self._memory[fingerprint, key] = row.copy()
        while self._held_bytes > self.memory_bytes and self._memory:
            _, dropped = self._memory.popitem(last=False)
            self._held_bytes -= dropped.nbytes

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # A connection must not cross a fork.
            if self._connection is None or self._process != os.getpid():
                self._connection = self._connect()
                self._process = os.getpid()
            yield self._connection
        except sqlite3.OperationalError as error:
            msg = (
                f"cannot use the embedding cache {self.path}: {error}. Set FUSIONFACTORY_CACHE to "
                "a folder that can be written to, or make the encoder with cache=False"
            )
            raise EncoderError(msg) from error
        except sqlite3.DatabaseError as error:
            raise EncoderError(self._damage(str(error))) from error
        except OSError as error:
            msg = f"cannot make the folder of the embedding cache {self.path}: {error.strerror}"
            raise EncoderError(msg) from error

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self.path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                msg = f"the embedding cache {self.path} was written by a newer fusionfactory"
                raise EncoderError(msg)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if version < _VERSION:
                connection.executescript(
                    f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    def _damage(self, why: str) -> str:
        return (
            f"the embedding cache {self.path} is damaged ({why}): delete it, and its rows will be "
            "computed again"
        )


_SESSION: dict[Path, EmbeddingCache] = {}
_SESSION_LOCK = threading.Lock()


def session_cache() -> EmbeddingCache:
    """The cache of this process for the file `embeddings.sqlite` in `cache_dir()`."""
    path = cache_dir() / "embeddings.sqlite"
    with _SESSION_LOCK:
        return _SESSION.setdefault(path, EmbeddingCache(path))
