"""Outcome tables out, in other tools' formats. Every write is all or nothing, file by file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fusionfactory.registry import Registry

if TYPE_CHECKING:
    from fusionfactory.table import OutcomeTable

__all__ = ["EXPORTERS", "export_table"]

EXPORTERS = Registry(
    "exporter",
    {
        "fusionbench": "fusionfactory.exporters.fusionbench:write",
        "llmrouter": "fusionfactory.exporters.llmrouter:write",
        "routerbench": "fusionfactory.exporters.routerbench:write",
    },
)


def export_table(format: str, table: OutcomeTable, path: str | Path, /) -> None:
    """Writes a table in the format of another tool.

    Args:
        format: A name of `EXPORTERS`.
        table: What to write.
        path: A file, or for `llmrouter` a folder.

    Raises:
        UnknownNameError: No exporter of that name.
        ConfigError: The ending of `path` is none the format has.
    """
    EXPORTERS.load(format)(table, Path(path))
