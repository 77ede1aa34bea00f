"""Whether two bases are the same weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fusionfactory.distill.models.base import file_sha256

__all__ = ["identify"]


def identify(base: Path | str) -> str | None:
    """A digest of a file, or of the weights in a folder; None for what is neither."""
    path = Path(base)
    if path.is_file():
        return file_sha256(path)
    weights = sorted(path.rglob("*.safetensors"))
    if not weights:
        return None
    told = hashlib.sha256()
    for file in weights:
        told.update(f"{file.name}:{file_sha256(file)}\n".encode())
    return told.hexdigest()
