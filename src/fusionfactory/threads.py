"""How many threads numeric work uses on this machine."""

from __future__ import annotations

import os

__all__ = ["numeric_threads"]


def numeric_threads() -> int:
    """`$OMP_NUM_THREADS`, which numeric libraries go by, or else one per core."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdecimal() and int(told) else os.cpu_count() or 1
