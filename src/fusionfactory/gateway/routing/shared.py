"""Bytes that several worker processes see."""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["GatewayCount", "shared_bytes"]

_COUNT = struct.Struct("<q")


def shared_bytes(path: Path | None, size: int) -> mmap.mmap:
    """Bytes in a file, zeros at first; whoever opens the same path and size sees the same.

    Args:
        path: Of the file, to whose name the size is added: one that is mapped must never shrink.
            None for bytes of this process alone.
        size: How many.

    Raises:
        ConfigError: The file cannot be made.
    """
    if path is None:
        return mmap.mmap(-1, size)
    file = path.with_name(f"{path.name}.{size}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(opened, size)
            return mmap.mmap(opened, size)
        finally:
            os.close(opened)
    except OSError as error:
        msg = f"cannot be shared by the workers: {error.strerror or error}"
        raise ConfigError(msg, file=file) from None


class GatewayCount:
    """How many gateways share a store, told by the process that asks it to those that route.

    Args:
        folder: Of what the processes of a gateway share; None where this is the only one.

    Raises:
        ConfigError: The file cannot be made.
    """

    def __init__(self, folder: Path | None) -> None:
        self._bytes = shared_bytes(folder and folder / "gateways", _COUNT.size)

    @property
    def value(self) -> int:
        """At least 1."""
        return max(1, int(_COUNT.unpack_from(self._bytes)[0]))

    @value.setter
    def value(self, count: int) -> None:
        _COUNT.pack_into(self._bytes, 0, count)

    def close(self) -> None:
        """Lets go of the file."""
        self._bytes.close()
