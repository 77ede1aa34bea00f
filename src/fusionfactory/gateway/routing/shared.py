"""Bytes that several worker processes see."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["shared_bytes"]


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
