"""FusionBench: CSV or Parquet. Nothing is lost, but that a CSV file keeps no `cost_basis`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.exporters.frames import write_frame
from fusionfactory.layout import BASIS_KEY, to_fusionbench

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

__all__ = ["write"]


def write(table: OutcomeTable, path: Path) -> None:
    """Writes a `.parquet` or `.csv` file.

    Raises:
        ConfigError: The path ends otherwise.
    """
    write_frame(to_fusionbench(table.to_long()), path, {BASIS_KEY: table.cost_basis})
