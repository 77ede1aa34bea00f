"""Where files are kept that only live as long as a run."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.cachedir import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["scratch_folder"]


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder in the cache folder, which is deleted at the end.

    The system's own folder for such files may be in memory.
    """
    place = cache_dir() / "scratch"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)
