"""Numbers of every key, in a file that the processes of a gateway map and hence share."""

from __future__ import annotations

import fcntl
import mmap
from typing import TYPE_CHECKING

import numpy as np

from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.types import FloatArray

__all__ = ["Cells"]

_KEYS_AT_A_TIME = 64
"""By which the file grows; what no key uses yet takes no room on the disk."""


class Cells:
    """An array (keys, rows, columns) of doubles, zeros at first, that outlives its processes.

    Args:
        path: Of the file; made where it is missing.
        rows: Numbers per key and column.
        columns: Of them, such as one per worker.
    """

    def __init__(self, path: Path, rows: int, columns: int) -> None:
        self.path = path
        self._shape = rows, columns
        self._key_bytes = rows * columns * 8
        self._all: FloatArray = np.empty((0, rows, columns))

    def __call__(self, number: int) -> FloatArray:
        """The cells of the key of this number: (rows, columns), no copy.

        Raises:
            ConfigError: The file is not of this form.
        """
        cells: FloatArray = self.upto(number + 1)[number]
        return cells

    def upto(self, keys: int) -> FloatArray:
        """The cells of so many keys, at least.

        Raises:
            ConfigError: The file is not of this form.
        """
        if keys > len(self._all):
            self._all = self._mapped(-(-keys // _KEYS_AT_A_TIME) * _KEYS_AT_A_TIME)
        return self._all

    def _mapped(self, keys: int) -> FloatArray:
        """The file, at least so long; a lock keeps one from cutting off what another mapped."""
        size = keys * self._key_bytes
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.tell() < size:
                file.truncate(size)
            # Before the mapping, which keeps the file open and would keep the lock with it.
            fcntl.flock(file, fcntl.LOCK_UN)
            memory = mmap.mmap(file.fileno(), 0)
        if len(memory) % self._key_bytes:
            msg = (
                f"holds {len(memory)} bytes, no multiple of {self._key_bytes}: it is no file of "
                "usage; delete it, and budgets begin anew"
            )
            raise ConfigError(msg, file=self.path)
        return np.frombuffer(memory, dtype=np.float64).reshape(-1, *self._shape)
