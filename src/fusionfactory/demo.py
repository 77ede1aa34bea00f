"""The bundled log: real answers of small local models, and how to see what routing makes of it.

`data/PROVENANCE.md` says how the log was made and how to make it again.
"""

from __future__ import annotations

from importlib.resources import as_file, files

from fusionfactory.table import OutcomeTable

__all__ = ["bundled_log"]


def bundled_log() -> OutcomeTable:
    """The log that ships with the package."""
    with as_file(files("fusionfactory") / "data" / "demo_log.parquet") as path:
        return OutcomeTable.read(path)
