"""Where downloads and embeddings are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_dir"]


def cache_dir() -> Path:
    """`$FUSIONFACTORY_CACHE`, or `~/.cache/fusionfactory`."""
    named = os.environ.get("FUSIONFACTORY_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "fusionfactory"
