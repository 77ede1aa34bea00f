"""Tables that are read from disk: a folder, a glob or a URL of Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fusionfactory.large import LargeTable
    from fusionfactory.steps import Progress

__all__ = ["is_large", "refuse", "refuse_sample", "scan"]

_STORES = ("sqlite", "postgres")
_WILD = "*?["


def is_large(source: str, format_name: str | None = None) -> bool:
    """Whether a source is a place of Parquet files: a folder that holds some, a glob or a URL.

    Args:
        source: As given on the command line. A database's URL is that of a store.
        format_name: Of another tool's file, as given; such files are read whole.
    """
    if format_name is not None:
        return False
    if "://" in source:
        return not source.startswith(_STORES)
    path = Path(source)
    if path.is_dir():
        return any(path.rglob("*.parquet")) and not any(path.rglob("*.json*l"))
    return not path.exists() and any(mark in source for mark in _WILD)


def scan(source: str, progress: Progress | None = None) -> LargeTable:
    """Opens such a place; see `LargeTable.scan`.

    Raises:
        TableError: A file is malformed, or there is none.
    """
    from fusionfactory.large import LargeTable

    return LargeTable.scan(source, progress=progress)


def refuse(source: str, **options: object) -> None:
    """Raises a usage error where an option is set that needs the table in memory.

    Args:
        source: The place.
        options: Name to value; falsy where it is not set.
    """
    for name, value in options.items():
        if value:
            flag = f"--{name.replace('_', '-')}"
            msg = (
                f"{flag} needs the table in memory, and {source} is read from disk: "
                "leave it out, or give a single .parquet file"
            )
            raise click.UsageError(msg)


def refuse_sample(source: str, sample: int | None) -> None:
    """Raises a usage error where a sample is asked for of a table that is read whole.

    Args:
        source: The table.
        sample: Queries, as given on the command line.
    """
    if sample is not None:
        msg = f"--sample is for a table on disk, and {source} is read whole: leave it out"
        raise click.UsageError(msg)
