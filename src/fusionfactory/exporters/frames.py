"""Frames to CSV or Parquet files, by the ending of the path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusionfactory.atomic import write_atomically
from fusionfactory.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

__all__ = ["write_frame"]


def write_frame(frame: pl.DataFrame, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Writes `.parquet` (with the metadata) or `.csv`, all or nothing.

    Raises:
        ConfigError: The path ends otherwise.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        write_atomically(
            path, lambda file: frame.write_parquet(file, compression="zstd", metadata=metadata)
        )
    elif suffix == ".csv":
        write_atomically(path, frame.write_csv)
    else:
        msg = f"{path.name!r} ends in neither .csv nor .parquet"
        raise ConfigError(msg, field="path")
