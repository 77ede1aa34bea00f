"""Other tools' tables and logs in: one module per format, one function `read` each.

Every reader ignores unknown fields and names file, row and field when something needed is missing.
Rows are counted from 1; a CSV file's header is not counted.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from fusionfactory.errors import ConfigError
from fusionfactory.importers.detection import detect
from fusionfactory.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from fusionfactory.table import OutcomeTable

__all__ = ["IMPORTERS", "detect", "import_table"]

_PACKAGE = "fusionfactory.importers"
IMPORTERS = Registry(
    "importer",
    {
        "fusionbench": f"{_PACKAGE}.fusionbench:read",
        "fusionbench-router": f"{_PACKAGE}.fusionbench_router:read",
        "llmrouter": f"{_PACKAGE}.llmrouter:read",
        "routerdc": f"{_PACKAGE}.routerdc:read",
        "routerbench": f"{_PACKAGE}.routerbench:read",
        "routerarena": f"{_PACKAGE}.routerarena:read",
        "llmrouterbench": f"{_PACKAGE}.llmrouterbench:read",
        "routellm": f"{_PACKAGE}.routellm:read",
        "generic": f"{_PACKAGE}.generic:read",
    },
)


def import_table(format: str, path: str | Path, /, **options: object) -> OutcomeTable:
    """Reads a file or folder of another tool.

    Args:
        format: A name of `IMPORTERS`, or `auto` to guess it with `detect`.
        path: What to read.
        **options: Keyword options of the format's reader.

    Raises:
        UnknownNameError: No importer of that name.
        ConfigError: The importer has no such option.
        FormatError: The content is malformed or of no known format.
    """
    name = detect(path) if format == "auto" else format
    read = IMPORTERS.load(name)
    known = [p for p in inspect.signature(read).parameters if p != "path"]
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            msg = f"the importer {name!r} has no such option; {has}"
            raise ConfigError(msg, field=option)
    table: OutcomeTable = read(path, **options)
    return table
