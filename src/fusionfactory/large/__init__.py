"""Tables larger than memory: partitioned Parquet, gathered by query and read block by block."""

from __future__ import annotations

from fusionfactory.large.gathering import gather
from fusionfactory.large.table import LargeSplit, LargeTable
from fusionfactory.large.writing import write_partitioned

__all__ = ["LargeSplit", "LargeTable", "gather", "write_partitioned"]
