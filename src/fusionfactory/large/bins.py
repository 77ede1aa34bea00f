"""Bins on disk that frames are appended to, one file per bin, and taken out of again."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import polars as pl

from fusionfactory.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Bins"]

_LENGTH_BYTES = 8


class Bins:
    """Files of frames, each an Arrow stream after its length.

    Args:
        folder: Where they are.
        names: Of the bins.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._paths = {name: folder / f"{name}.frames" for name in names}

    def append(self, name: str, frame: pl.DataFrame) -> None:
        """Adds a frame to a bin."""
        buffer = io.BytesIO()
        frame.write_ipc_stream(buffer, compression="lz4")
        content = buffer.getbuffer()
        with self._paths[name].open("ab") as file:
            file.write(len(content).to_bytes(_LENGTH_BYTES, "little"))
            file.write(content)

    def frames(self, name: str) -> Iterator[pl.DataFrame]:
        """The frames of a bin, in the order in which they were added.

        Raises:
            TableError: The file is damaged, as it can be after a loss of power.
        """
        if not self._paths[name].exists():
            return
        with self._paths[name].open("rb") as file:
            while head := file.read(_LENGTH_BYTES):
                content = file.read(int.from_bytes(head, "little"))
                try:
                    yield pl.read_ipc_stream(io.BytesIO(content))
                except pl.exceptions.PolarsError:
                    msg = "is damaged: delete the folder it is in and gather again"
                    raise TableError(msg, file=self._paths[name]) from None

    def sizes(self) -> dict[str, int]:
        """Bytes of every bin that holds anything."""
        return {name: p.stat().st_size for name, p in self._paths.items() if p.exists()}

    def restore(self, sizes: dict[str, int]) -> bool:
        """Cuts off what was added after `sizes`; False where a bin has less than that."""
        for name, path in self._paths.items():
            size = sizes.get(name, 0)
            there = path.stat().st_size if path.exists() else 0
            if there < size:
                return False
            if there > size:
                os.truncate(path, size)
        return True
